// A clip: a sound that is picked, uploaded, dropped or recorded, and known to the server by a name that it gave.

import { record, stopRecording } from "./microphone.js";
import { ask } from "./server.js";

/** What this page has uploaded: name in settings to what a person calls it, and the size of the runs that it is cut for. */
const given = new Map();
let recorded = 0;

/**
 * Fills the row of a control.
 * @param line the row's element.
 * @param id of the select.
 * @param label what the control is called.
 * @param studio {run, size of its clips, seconds, names that can be picked, largest bytes, choose, hear, say}
 */
export function clipRow(line, id, label, studio) {
  const select = document.createElement("select"), buttons = document.createElement("div"), file = document.createElement("input");
  select.id = id;
  select.className = "clip";
  select.dataset.size = studio.size;
  select.append(...[["none", ""], ...studio.names.map((name) => [name, name])].map((pair) => new Option(...pair)));
  for (const [clip, { name, size }] of given) if (size === studio.size) select.append(new Option(name, clip));
  select.oninput = () => studio.choose(select.value);
  Object.assign(file, { type: "file", hidden: true, accept: "audio/*,.flac,.ogg,.opus,.aif,.aiff,.au,.caf,.w64" });
  file.onchange = () => {
    if (file.files.length) upload(file.files[0], file.files[0].name, studio);
    file.value = ""; // so that the same file may be chosen again
  };
  buttons.className = "row";
  const actions = {
    Upload: () => file.click(),
    Record: (button) => recordOrStop(button, label, studio),
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
    const response = await ask(`clip?${new URLSearchParams({ run: studio.run })}`, { method: "POST", headers, body: blob });
    const { clip, seconds } = await response.json();
    if (!given.has(clip)) {
      given.set(clip, { name, size: studio.size });
      for (const select of document.querySelectorAll("select.clip")) { // of the run that is shown by now
        if (select.dataset.size === studio.size) select.append(new Option(name, clip));
      }
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
    const response = await ask(`clip?${new URLSearchParams({ run: studio.run, clip: select.value })}`);
    const seconds = await studio.hear(await response.arrayBuffer());
    studio.say(`Playing ${name}, ${seconds.toFixed(1)} s`);
  } catch (error) {
    studio.say(`${name}: ${error.message}`, true);
  }
}

/** Records what the microphone hears, until the button is pressed again or it is as much as the run needs. */
async function recordOrStop(button, label, studio) {
  if (stopRecording()) return;
  const named = (text) => {
    button.textContent = text;
    button.setAttribute("aria-label", `${text} ${label}`);
  };
  named("Stop");
  studio.say("Waiting for the microphone");
  try {
    const sound = await record(studio.seconds, () => studio.say(`Recording, ${studio.seconds.toFixed(1)} s at most`));
    if (sound) upload(sound, `recording ${++recorded}`, studio);
    else studio.say("Nothing was recorded");
  } catch (error) {
    studio.say(error.message, true);
  } finally {
    named("Record");
  }
}
