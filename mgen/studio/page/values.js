// Settings as values of a run's controls, {name: number, or the name of an option or of a clip}: at random, near others,
// between two.

export const isChoice = (control) => control.kind === "choice";
/** Whether its values are no numbers. */
export const isWord = (control) => isChoice(control) || control.kind === "clip";

export const tidy = (number) => Number(Number(number).toPrecision(5));
const clamp = (value, { low, high }) => Math.min(high, Math.max(low, tidy(value)));

/** Values at random; of many switches two are on, as all at once would be a crowd. Asides stay. */
export function drawn(controls, before) {
  const values = {}, switches = controls.filter((control) => control.kind === "switch");
  for (const control of controls) {
    values[control.name] = control.aside // how a model is played, not what
      ? before[control.name]
      : isChoice(control)
        ? control.options[Math.floor(Math.random() * control.options.length)]
        : clamp(control.low + Math.random() * (control.high - control.low), control);
  }
  const on = switches.map(({ name }) => [Math.random(), name]).sort((a, b) => a[0] - b[0]).map(([, name]) => name);
  on.forEach((name, place) => { values[name] = place === 0 ? 1 : place === 1 ? tidy(0.2 + 0.8 * Math.random()) : 0; });
  return values;
}

/** Every slider moved by up to a tenth of its way. */
export function nudged(controls, before) {
  const values = { ...before };
  for (const control of controls) {
    if (isWord(control) || control.aside) continue;
    const off = control.kind === "switch" && values[control.name] === 0;
    const way = 0.1 * (control.high - control.low) * (2 * Math.random() - 1);
    if (!off) values[control.name] = clamp(values[control.name] + way, control);
  }
  return values;
}

/** Part of the way from one to another; a choice or a clip changes in the middle. */
export function between(controls, a, b, part) {
  const values = {};
  for (const control of controls) {
    const [from, to] = [a[control.name], b[control.name]];
    values[control.name] = isWord(control) ? (part < 0.5 ? from : to) : clamp(from + part * (to - from), control);
  }
  return values;
}
