// A clip: a sound that is picked, uploaded, dropped or recorded, and known to the server by a name that it gave.

/** What this page has uploaded, for every run: name in settings to what a person calls it. */
const given = new Map();
let recording = null; // while the microphone is open: what ends it
let recorded = 0;

/**
 * Fills the row of a control.
 * @param line the row's element.
 * @param id of the select.
 * @param label what the control is called.
 * @param studio {run, seconds, names that can be picked, largest bytes, ask, choose, hear, say}
 */
export function clipRow(line, id, label, studio) {
  const select = document.createElement("select"), buttons = document.createElement("div"), file = document.createElement("input");
  select.id = id;
  select.className = "clip";
  select.append(...[["none", ""], ...studio.names.map((name) => [name, name])].map((pair) => new Option(...pair)));
  for (const [clip, name] of given) select.append(new Option(name, clip));
  select.oninput = () => studio.choose(select.value);
  Object.assign(file, { type: "file", hidden: true, accept: "audio/*,.flac,.ogg,.opus,.aif,.aiff,.au,.caf,.w64" });
  file.onchange = () => {
    if (file.files.length) upload(file.files[0], file.files[0].name, studio);
    file.value = ""; // so that the same file may be chosen again
  };
  buttons.className = "row";
  const actions = {
    Upload: () => file.click(),
    Record: (button) => record(button, label, studio),
    Hear: () => hear(select, studio),
  };
  for (const [text, action] of Object.entries(actions)) {
    const button = document.createElement("button");
    button.textContent = text;
    button.setAttribute("aria-label", `${text} ${label}`);
    button.onclick = () => action(button);
    if (text === "Hear") button.className = "hear";
    buttons.append(button);
  }
  line.append(select, buttons, file);
  line.ondragover = () => line.classList.add("over");
  line.ondragleave = () => line.classList.remove("over");
  line.ondrop = (event) => {
    line.classList.remove("over");
    const dropped = event.dataTransfer.files[0];
    if (dropped) upload(dropped, dropped.name, studio);
  };
}

async function upload(blob, name, studio) {
  try {
    if (blob.size > studio.largest) throw new Error(`more than ${studio.largest / 2 ** 20} MiB; cut it`);
    studio.say(`Uploading ${name}`);
    const headers = { "Content-Type": "application/octet-stream" };
    const response = await studio.ask(`clip?${new URLSearchParams({ run: studio.run })}`, { method: "POST", headers, body: blob });
    const { clip, seconds } = await response.json();
    if (!given.has(clip)) {
      given.set(clip, name);
      for (const select of document.querySelectorAll("select.clip")) select.append(new Option(name, clip));
    }
    studio.say(`${name}: ${seconds.toFixed(1)} s are used`);
    studio.choose(clip);
  } catch (error) {
    studio.say(`${name}: ${error.message}`, true);
  }
}

async function hear(select, studio) {
  const name = select.selectedOptions[0].text;
  try {
    const response = await studio.ask(`clip?${new URLSearchParams({ run: studio.run, clip: select.value })}`);
    const seconds = await studio.hear(await response.arrayBuffer());
    studio.say(`Playing ${name}, ${seconds.toFixed(1)} s`);
  } catch (error) {
    studio.say(`${name}: ${error.message}`, true);
  }
}

// --- The microphone -------------------------------------------------------------------------------------------------

const REFUSALS = {
  NotAllowedError: "The microphone was refused: allow it for this page in the browser's settings",
  NotFoundError: "There is no microphone",
};

/** Records until the button is pressed again, or as much as the run needs. */
async function record(button, label, studio) {
  if (recording) return recording();
  const blocks = [];
  let microphone, context, samples = 0;
  const end = (recording = () => {
    if (!blocks.length) return; // the microphone is not open yet
    recording = null;
    microphone.getTracks().forEach((track) => track.stop());
    context.close();
    named("Record");
    upload(wav(blocks, context.sampleRate), `recording ${++recorded}`, studio);
  });
  const named = (text) => {
    button.textContent = text;
    button.setAttribute("aria-label", `${text} ${label}`);
  };
  try {
    if (!navigator.mediaDevices) throw new Error("A browser lets a page record only at 127.0.0.1, localhost or over https");
    // As it sounds: what mends a voice in a call would spoil a note.
    const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    microphone = await navigator.mediaDevices.getUserMedia({ audio: plain });
    context = new AudioContext();
    await context.audioWorklet.addModule("recorder.js");
    const node = new AudioWorkletNode(context, "recorder", { channelCount: 1, channelCountMode: "explicit" });
    node.port.onmessage = ({ data }) => {
      if (recording !== end) return;
      blocks.push(data);
      samples += data.length;
      if (samples >= studio.seconds * context.sampleRate) end();
    };
    context.createMediaStreamSource(microphone).connect(node).connect(context.destination); // silent, but it must lead somewhere
    named("Stop");
    studio.say(`Recording, ${studio.seconds.toFixed(1)} s at most`);
  } catch (error) {
    recording = null;
    microphone?.getTracks().forEach((track) => track.stop());
    context?.close();
    studio.say(REFUSALS[error.name] ?? error.message, true);
  }
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
