// Local times, and live jobs: an event on a job's stream is the word to look at the job again.
"use strict";

const LIVE_AT_ONCE = 4; // browsers hold six connections to one server
const LOOK_EVERY_MS = 1000;
const ASK_AGAIN_MS = 5000;
const KINDS = [
  "requested", "requeued", "cancelling", "started", "progress", "waiting", "retrying", "finished", "failed", "cancelled",
];
const FINAL = ["succeeded", "failed", "cancelled"];

for (const time of document.querySelectorAll("time")) {
  time.textContent = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

function put(place, part, text) {
  const found = place.querySelector(`[data-${part}]`);
  if (found && found.textContent !== text) found.textContent = text;
}

function show(place, job) {
  const state = place.querySelector("[data-state]");
  if (state.textContent !== job.state) {
    state.textContent = job.state;
    state.className = `state ${job.state}`;
    document.getElementById("said").textContent = `Job ${job.state}: ${job.message}`;
  }
  const bar = place.querySelector("[data-progress]");
  if (bar) bar.value = job.progress;
  put(place, "stage", job.stage);
  put(place, "percent", `${Math.round(100 * job.progress)} %`);
  put(place, "message", job.message);
}

class Live {
  constructor(place) {
    this.place = place;
    this.id = place.dataset.follow;
    this.timer = null;
    this.over = false;
  }

  follow() {
    this.stream = new EventSource(`/api/v1/jobs/${this.id}/events`);
    for (const kind of KINDS) this.stream.addEventListener(kind, () => this.soon(LOOK_EVERY_MS));
    this.stream.addEventListener("error", () => {
      if (this.stream.readyState === EventSource.CLOSED) this.soon(LOOK_EVERY_MS);
    });
  }

  soon(ms) {
    if (this.timer === null && !this.over) this.timer = setTimeout(() => this.look(), ms);
  }

  async look() {
    this.timer = null;
    let job = null;
    try {
      const answer = await fetch(`/api/v1/jobs/${this.id}`);
      if (answer.status === 401) return location.reload();
      if (answer.ok) job = await answer.json();
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the network's
    }
    if (job) show(this.place, job);
    if (job && FINAL.includes(job.state)) {
      this.over = true;
      if (this.stream) this.stream.close();
      if ("reload" in this.place.dataset) location.reload();
    } else if (!this.stream || this.stream.readyState === EventSource.CLOSED) {
      this.soon(ASK_AGAIN_MS);
    }
  }
}

[...document.querySelectorAll("[data-follow]")].forEach((place, number) => {
  const live = new Live(place);
  if (number < LIVE_AT_ONCE) live.follow();
  else live.soon(ASK_AGAIN_MS);
});
