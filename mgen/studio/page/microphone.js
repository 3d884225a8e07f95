// The microphone: open for one recording at a time, and closed however that ends.

const REFUSALS = {
  NotAllowedError: "The microphone was refused: allow it for this page in the browser's settings",
  NotFoundError: "There is no microphone",
};

let current = null; // ends the recording that goes on, from the moment it is asked for

/** Ends the recording that goes on, and closes the microphone. @returns whether there was one. */
export function stopRecording({ keep = true } = {}) {
  const end = current;
  end?.(keep);
  return end !== null;
}

/**
 * Records until it is stopped or the microphone is gone, or as much as is asked for.
 * @param seconds at most.
 * @param begun is called when the first of it is heard.
 * @returns a wav file, or null where nothing was heard or it is not to be kept.
 */
export function record(seconds, begun) {
  return new Promise((resolve, reject) => {
    const blocks = [];
    let microphone, context, samples = 0;
    const close = () => {
      if (current === end) current = null;
      microphone?.getTracks().forEach((track) => track.stop());
      context?.close();
      context = null;
    };
    const end = (keep) => {
      resolve(keep && blocks.length ? wav(blocks, context.sampleRate) : null);
      close();
    };
    const open = async () => {
      if (!navigator.mediaDevices) throw new Error("A browser lets a page record only at 127.0.0.1, localhost or over https");
      // As it sounds: what mends a voice in a call would spoil a note.
      const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      microphone = await navigator.mediaDevices.getUserMedia({ audio: plain });
      if (current !== end) return close(); // it was stopped while the person was asked
      for (const track of microphone.getTracks()) track.onended = () => { if (current === end) end(true); }; // unplugged
      context = new AudioContext();
      context.resume().catch(() => {}); // not waited for: it may never come
      await context.audioWorklet.addModule("recorder.js");
      if (current !== end) return;
      const node = new AudioWorkletNode(context, "recorder", { channelCount: 1, channelCountMode: "explicit" });
      node.port.onmessage = ({ data }) => {
        if (current !== end) return;
        if (!samples) begun();
        blocks.push(data);
        samples += data.length;
        if (samples >= seconds * context.sampleRate) end(true);
      };
      context.createMediaStreamSource(microphone).connect(node).connect(context.destination); // silent, but it must lead somewhere
    };
    current = end;
    open().catch((error) => {
      close();
      reject(new Error(REFUSALS[error.name] ?? error.message));
    });
  });
}

/** Blocks of samples as a wav file of floats: what a browser records by itself, the server cannot read. */
function wav(blocks, rate) {
  const length = 4 * blocks.reduce((sum, block) => sum + block.length, 0), head = new DataView(new ArrayBuffer(44));
  const words = { 0: 0x52494646, 8: 0x57415645, 12: 0x666d7420, 36: 0x64617461 }; // RIFF WAVE fmt data
  for (const [place, word] of Object.entries(words)) head.setUint32(place, word);
  for (const [place, number] of [[4, 36 + length], [16, 16], [24, rate], [28, 4 * rate], [40, length]]) head.setUint32(place, number, true);
  for (const [place, number] of [[20, 3], [22, 1], [32, 4], [34, 32]]) head.setUint16(place, number, true); // floats, mono
  return new Blob([head, ...blocks]);
}
