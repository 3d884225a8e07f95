// The page: every run's controls, drawn from what the server says of them, with no code for any model.

import { clipRow } from "./clips.js";
import { stopRecording } from "./microphone.js";
import { post } from "./server.js";
import { Speaker, draw, unpack } from "./sound.js";
import { between, drawn, isChoice, isWord, nudged, tidy } from "./values.js";

const SETTLED_MS = 400; // after the last movement the sound is made in full quality
const MOST_UNDONE = 100;

const $ = (id) => document.getElementById(id);
const speaker = new Speaker(() => showPlaying());
/** Per run: its description, values, seed, what was before, and A and B. */
const sessions = new Map();
let session, morphing = 0, sounds = { names: [], largest: 0 };
/** Milliseconds from a movement to the new sound playing, for whoever measures. */
window.studio = { latencies: [], sounds: 0 };

// --- Sound: the newest wish wins ------------------------------------------------------------------------------------

let busy = false, wish = null, settleTimer = 0;

/** Asks for the sound of the controls as they are: as a draft at once, and in full once they rest. */
function wanted({ draft = true, since = performance.now() } = {}) {
  clearTimeout(settleTimer);
  if (draft) settleTimer = setTimeout(() => wanted({ draft: false, since: Infinity }), SETTLED_MS);
  // Who waits longest is who counts: a wish that is replaced before it was heard leaves its beginning to the next.
  wish = { session, draft, since: wish?.session === session ? Math.min(wish.since, since) : since };
  if (!busy) serve();
}

async function serve() {
  busy = true;
  while (wish) {
    const { session: asked, draft, since } = wish;
    wish = null;
    try {
      const response = await post("sound", asked, { draft });
      const sound = unpack(await response.arrayBuffer());
      if (asked !== session) continue;
      speaker.take(sound.wave, sound.rate);
      window.studio.sounds++;
      if (since < Infinity && speaker.playing) window.studio.latencies.push(performance.now() - since);
      draw($("spectrogram"), sound.picture, sound.frames, sound.bands);
      say(draft ? "Draft" : "Ready");
    } catch (error) {
      if (asked === session) say(error.message, true);
    }
  }
  busy = false;
}

function say(text, error = false) {
  $("status").textContent = text;
  $("status").classList.toggle("error", error);
}

// --- Controls -------------------------------------------------------------------------------------------------------

function show(next) {
  stopRecording({ keep: false }); // its button goes
  session = next;
  $("about").textContent = `step ${session.about.step}, ${session.about.seconds.toFixed(1)} s`;
  $("controls").replaceChildren(...session.about.controls.map(row));
  refresh();
  wanted();
}

function row(control, index) {
  const line = document.createElement("div"), label = document.createElement("label"), id = `control-${index}`;
  line.className = "control";
  label.htmlFor = id;
  label.textContent = control.name.replaceAll("_", " ");
  if (control.kind === "switch") {
    const toggle = document.createElement("input");
    toggle.type = "checkbox";
    toggle.setAttribute("aria-label", `${label.textContent}, on or off`);
    toggle.oninput = () => turn(control.name, toggle.checked ? 1 : 0);
    label.prepend(toggle, " ");
  }
  line.append(label);
  if (control.kind === "clip") {
    const own = session;
    clipRow(line, id, label.textContent, {
      run: own.about.name, size: own.about.size, seconds: own.about.seconds, ...sounds,
      say: (...words) => { if (own === session) say(...words); },
      choose: (clip) => { if (own === session) turn(control.name, clip); },
      hear: async (bytes) => {
        const seconds = await speaker.once(bytes);
        showPlaying();
        return seconds;
      },
    });
  } else if (isChoice(control)) {
    const select = document.createElement("select");
    select.id = id;
    select.append(...control.options.map((option) => new Option(option.replaceAll("_", " "), option)));
    select.oninput = () => turn(control.name, select.value);
    line.append(select);
  } else {
    for (const type of ["range", "number"]) {
      const input = document.createElement("input");
      Object.assign(input, { type, min: control.low, max: control.high, step: type === "range" ? control.step : "any" });
      if (type === "range") input.id = id;
      else input.setAttribute("aria-label", `${label.textContent}, exact value`);
      input.oninput = () => {
        if (input.value !== "" && input.checkValidity()) turn(control.name, Number(input.value), input);
      };
      line.append(input);
    }
    // A double click brings one slider back.
    line.querySelector("[type=range]").ondblclick = () => turn(control.name, control.default);
  }
  const words = [control.help, control.unit].filter(Boolean).join(", ");
  if (words) {
    const small = document.createElement("small");
    small.textContent = words;
    line.append(small);
  }
  return line;
}

/** One control moved; movements of one control in a row are one step to undo. */
function turn(name, value, by = null) {
  stopMorph();
  remember(name);
  session.values = { ...session.values, [name]: value };
  refresh(by);
  wanted();
}

function change(values, seed = session.seed) {
  stopMorph();
  remember(null);
  Object.assign(session, { values, seed });
  refresh();
  wanted();
}

function remember(name) {
  const { before, values, seed } = session;
  if (name === null || session.turning !== name) before.push({ values, seed });
  if (before.length > MOST_UNDONE) before.shift();
  session.turning = name;
}

function refresh(by = null) {
  session.about.controls.forEach((control, index) => {
    const line = $("controls").children[index], hear = line.querySelector(".hear");
    if (hear) hear.disabled = !session.values[control.name];
    for (const input of line.querySelectorAll("input:not([type=file]), select")) {
      if (input.type === "checkbox") input.checked = session.values[control.name] > 0;
      else if (input !== by) input.value = isWord(control) ? session.values[control.name] : tidy(session.values[control.name]);
    }
  });
  $("seed").value = session.seed;
  $("undo").disabled = !session.before.length;
  for (const slot of "AB") $(`recall-${slot}`).disabled = !session[slot];
  $("morph").disabled = !(session.A && session.B);
}

// --- A, B and what lies between -------------------------------------------------------------------------------------

function store(slot) {
  session[slot] = { values: session.values, seed: session.seed };
  refresh();
  say(`Stored ${slot}`);
}

function recall(slot) {
  if (session[slot]) change(session[slot].values, session[slot].seed);
}

function morph() {
  if (morphing) return stopMorph();
  const { A, B } = session, seconds = Math.min(120, Math.max(0.5, Number($("morph-seconds").value) || 8));
  if (!A || !B) return;
  change(A.values, A.seed);
  const began = performance.now(), own = session;
  $("morph").textContent = "Stop morph";
  const step = () => {
    if (own !== session) return stopMorph();
    const part = Math.min(1, (performance.now() - began) / (1000 * seconds));
    session.values = between(session.about.controls, A.values, B.values, part);
    session.seed = part < 0.5 ? A.seed : B.seed;
    refresh();
    wanted();
    if (part === 1) stopMorph();
  };
  morphing = setInterval(step, 50);
}

function stopMorph() {
  clearInterval(morphing);
  morphing = 0;
  $("morph").textContent = "Morph A to B";
}

// --- Buttons and keys -----------------------------------------------------------------------------------------------

async function playOrStop() {
  if (!speaker.buffer) return say("There is no sound yet: the model is being compiled");
  if (speaker.playing) speaker.stop();
  else await speaker.play();
  showPlaying();
}

function showPlaying() {
  $("play").textContent = speaker.playing ? "Stop" : "Play";
  $("cursor").hidden = !speaker.playing;
}

function moveCursor() {
  if (speaker.playing) $("cursor").style.left = `${100 * speaker.position / speaker.buffer.duration}%`;
  requestAnimationFrame(moveCursor);
}

async function save(what, suffix) {
  const own = session;
  try {
    const url = URL.createObjectURL(await (await post(what, own)).blob()), link = document.createElement("a");
    Object.assign(link, { href: url, download: `${own.about.name}${suffix}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
    say(`Saved ${link.download}`);
  } catch (error) {
    say(error.message, true);
  }
}

const actions = {
  play: playOrStop,
  dice: () => change(session.values, Math.floor(Math.random() * 2 ** 31)),
  random: () => change(drawn(session.about.controls, session.values)),
  nudge: () => change(nudged(session.about.controls, session.values)),
  reset: () => change({ ...session.about.start }, 0),
  undo: () => {
    stopMorph();
    if (!session.before.length) return;
    Object.assign(session, session.before.pop(), { turning: null });
    refresh();
    wanted();
  },
  "store-A": () => store("A"), "store-B": () => store("B"),
  "recall-A": () => recall("A"), "recall-B": () => recall("B"),
  morph,
  "export-wav": () => save("wav", ".wav"), "export-settings": () => save("settings", ".json"),
};
const keys = { " ": "play", r: "random", e: "nudge", z: "undo", n: "dice", a: "recall-A", b: "recall-B", m: "morph" };

function listen() {
  for (const [id, action] of Object.entries(actions)) $(id).onclick = action;
  $("run").oninput = () => { stopMorph(); show(sessions.get($("run").value)); };
  $("loop").oninput = async () => {
    const place = speaker.position; // which depends on whether it loops
    speaker.loop = $("loop").checked;
    if (speaker.playing) await speaker.play(place);
  };
  $("volume").oninput = () => { speaker.volume = Number($("volume").value); };
  $("seed").oninput = () => {
    if ($("seed").value !== "" && $("seed").checkValidity()) change(session.values, Number($("seed").value));
  };
  $("picture").onclick = async (event) => {
    if (!speaker.buffer) return;
    const box = $("picture").getBoundingClientRect();
    await speaker.play((event.clientX - box.left) / box.width * speaker.buffer.duration);
    showPlaying();
  };
  // A sound that is dropped beside its row must not take the place of the page.
  for (const type of ["dragover", "drop"]) addEventListener(type, (event) => event.preventDefault());
  addEventListener("keydown", (event) => {
    const typing = event.target.matches("input[type=number], select") || (event.key === " " && event.target.matches("button, input"));
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const id = keys[event.key.toLowerCase()];
    if (!id || $(id).disabled) return;
    event.preventDefault();
    actions[id]();
  });
}

async function start() {
  const { runs, clips, largest } = await (await fetch("api/runs")).json();
  sounds = { names: clips, largest };
  for (const about of runs) {
    sessions.set(about.name, { about, values: { ...about.start }, seed: 0, before: [], turning: null, A: null, B: null });
    $("run").append(new Option(about.name));
  }
  listen();
  moveCursor();
  say("The first sound takes a few seconds: the model is being compiled");
  show(sessions.get(runs[0].name));
}

start().catch((error) => say(error.message, true));
