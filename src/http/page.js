// Replaces the page's content when the agent says that something has changed.
"use strict";
const events = new EventSource("api/v1/events");
let busy = false;
let again = false;
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
// The first event may say more than the page, which was made a moment earlier.
events.addEventListener("status", refresh);
