// Replaces the page's content when the agent says that something has changed.
"use strict";
const events = new EventSource("api/v1/events");
let busy = false;
let again = false;
let first = true;
async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  try {
    const answer = await fetch("./");
    if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.querySelector("main").replaceWith(page.querySelector("main"));
    }
  } catch {
    // The agent is away; the events come again by themselves when it is back.
  }
  busy = false;
  if (again) { again = false; refresh(); }
}
events.addEventListener("status", () => {
  // The first event says what the page says already.
  if (first) { first = false; } else { refresh(); }
});
events.addEventListener("error", () => { first = false; });
