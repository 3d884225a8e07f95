// Playing: a sound can be exchanged for another of its kind while it plays, at the same place and without a click.

const FADE_S = 0.03;

/** A packed sound of the server: four uint32 (rate, samples, frames, bands), float32 samples, uint8 picture. */
export function unpack(bytes) {
  const [rate, samples, frames, bands] = new Uint32Array(bytes, 0, 4);
  return {
    rate, frames, bands,
    wave: new Float32Array(bytes, 16, samples),
    picture: new Uint8Array(bytes, 16 + 4 * samples, frames * bands),
  };
}

export class Speaker {
  constructor(onEnd) {
    this.onEnd = onEnd;
    this.loop = true;
    this.level = 0.8;
    this.playing = null; // {source, gain, began}: `began` is the context's time at which the sound's start would lie
  }

  /** Seconds from the start of the sound that is heard now. */
  get position() {
    if (!this.playing) return 0;
    const passed = this.context.currentTime - this.playing.began;
    return this.loop ? passed % this.buffer.duration : Math.min(passed, this.buffer.duration);
  }

  /** Takes another sound; if one plays, this one goes on from the same place. */
  take(wave, rate) {
    this.#open();
    const position = this.position;
    this.buffer = this.context.createBuffer(1, wave.length, rate);
    this.buffer.copyToChannel(wave, 0);
    if (this.playing) this.#begin(position % this.buffer.duration);
  }

  async play(position = 0) {
    if (!this.buffer) return;
    await this.context.resume(); // browsers wait for a gesture
    this.#begin(position);
  }

  stop() {
    this.#end(this.playing);
    this.playing = null;
  }

  /** Plays a sound file once, in the place of whatever plays, and says its seconds. */
  async once(bytes) {
    this.#open();
    const buffer = await this.context.decodeAudioData(bytes), source = this.context.createBufferSource();
    await this.context.resume();
    this.stop();
    this.single?.stop();
    this.single = source;
    source.buffer = buffer;
    source.connect(this.master);
    source.start();
    return buffer.duration;
  }

  set volume(level) {
    this.level = level;
    this.master?.gain.setTargetAtTime(level, this.context.currentTime, 0.01);
  }

  #open() {
    if (this.context) return;
    this.context = new AudioContext();
    this.master = this.context.createGain();
    this.master.gain.value = this.level;
    this.master.connect(this.context.destination);
  }

  #begin(position) {
    this.single?.stop();
    this.single = null;
    const before = this.playing, now = this.context.currentTime;
    const gain = this.context.createGain(), source = this.context.createBufferSource();
    gain.gain.setValueAtTime(0, now);
    gain.gain.linearRampToValueAtTime(1, now + FADE_S);
    source.buffer = this.buffer;
    source.loop = this.loop;
    source.connect(gain).connect(this.master);
    source.start(now, position);
    const playing = { source, gain, began: now - position };
    source.onended = () => {
      if (this.playing !== playing) return; // another took over
      this.playing = null;
      this.onEnd();
    };
    this.playing = playing;
    this.#end(before);
  }

  #end(playing) {
    if (!playing) return;
    const now = this.context.currentTime;
    playing.gain.gain.cancelScheduledValues(now);
    playing.gain.gain.setValueAtTime(playing.gain.gain.value, now);
    playing.gain.gain.linearRampToValueAtTime(0, now + FADE_S);
    playing.source.stop(now + FADE_S);
  }
}

// Dark to light through purple and orange, at equal steps.
const COLOURS = [[0, 0, 4], [60, 15, 112], [140, 41, 129], [222, 73, 104], [254, 159, 109], [252, 253, 191]];

/** Draws frames x bands of 0..255 with the low bands at the bottom. */
export function draw(canvas, picture, frames, bands) {
  canvas.width = frames;
  canvas.height = bands;
  const context = canvas.getContext("2d"), image = context.createImageData(frames, bands);
  for (let frame = 0; frame < frames; frame++) {
    for (let band = 0; band < bands; band++) {
      const place = picture[frame * bands + band] / 255 * (COLOURS.length - 1);
      const low = Math.min(Math.floor(place), COLOURS.length - 2), part = place - low;
      const at = 4 * ((bands - 1 - band) * frames + frame);
      for (let c = 0; c < 3; c++) image.data[at + c] = (1 - part) * COLOURS[low][c] + part * COLOURS[low + 1][c];
      image.data[at + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
}
