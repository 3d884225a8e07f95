// What the page asks of the server.

/** The answer to a request; a refusal is thrown as an error, in the server's words. */
export async function ask(what, options) {
  let response;
  try {
    response = await fetch(`api/${what}`, options);
  } catch {
    throw new Error("The studio does not answer: was it stopped? Start mgen studio again.");
  }
  if (!response.ok) throw new Error((await response.json().catch(() => ({ error: response.statusText }))).error);
  return response;
}

/** Asks for something of a run at its settings. */
export const post = (what, { about, values, seed }, more = {}) => ask(what, {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ run: about.name, settings: values, seed, ...more }),
});
