// Local times, and what moves: one stream tells of every job of the clinic, and the page's moving part is fetched anew.
"use strict";

const LOOK_AFTER_MS = 700;
const LOOK_ONCE_MORE_MS = 4000; // what the stream says may be a little ahead of what the server shows
const COME_BACK_MS = 3000;
const CHANGES = ["requested", "requeued", "cancelling", "started", "waiting", "retrying", "finished", "failed", "cancelled"];
const PARTS = ["state", "how"];

const live = document.querySelector("[data-live]");
let timer = null;
let due = 0;

function localise(root) {
  for (const time of root.querySelectorAll("time")) {
    time.textContent = new Date(time.dateTime).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  }
}

function part(job, name) {
  return job.querySelector(`[data-part="${name}"]`);
}

function place(root, id) {
  return root.querySelector(`[data-job="${CSS.escape(id)}"]`);
}

// Only what differs is touched: a link that has the focus keeps it.
function update(old, now) {
  const [was, is] = [part(old, "state"), part(now, "state")];
  if (was.textContent !== is.textContent) {
    document.getElementById("said").textContent = `Job ${is.textContent}: ${part(now, "how").textContent.trim()}`;
  }
  for (const name of PARTS) {
    const [before, after] = [part(old, name), part(now, name)];
    if (!before.isEqualNode(after)) before.replaceWith(after);
  }
  old.dataset.final = now.dataset.final;
}

function show(found) {
  localise(found);
  const [list, newer] = [live.querySelector("ol"), found.querySelector("ol")];
  if (!live.querySelector("[data-job]") || !found.querySelector("[data-job]")) {
    live.replaceChildren(...found.childNodes);
    return;
  }
  const jobs = [...found.querySelectorAll("[data-job]")];
  const ids = new Set(jobs.map((job) => job.dataset.job));
  for (const old of live.querySelectorAll("[data-job]")) if (!ids.has(old.dataset.job)) old.remove();
  jobs.forEach((job, number) => {
    const old = place(live, job.dataset.job);
    if (old) update(old, job);
    else if (list && newer) list.insertBefore(job, list.children[number] ?? null);
  });
}

function soon(ms, again) {
  const then = performance.now() + ms;
  if (timer !== null && due <= then) return;
  clearTimeout(timer);
  due = then;
  timer = setTimeout(() => look(again), ms);
}

async function look(again) {
  timer = null;
  try {
    const answer = await fetch(live.dataset.live, { headers: { Accept: "text/html" } });
    if (answer.status === 401 || answer.status === 404) return location.reload();
    if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html").body);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // the network's
  }
  if ("reload" in live.dataset && live.querySelector('[data-final="true"]')) return location.reload();
  if (again) soon(LOOK_ONCE_MORE_MS, false);
}

function progress(event) {
  const job = place(live, event.job_id);
  const bar = job?.querySelector("[data-progress]");
  if (!bar || job.querySelector("[data-stage]").dataset.stage !== event.stage) return soon(LOOK_AFTER_MS, false);
  bar.value = event.progress;
  job.querySelector("[data-percent]").textContent = `${Math.round(100 * event.progress)} %`;
  job.querySelector("[data-message]").textContent = event.message;
}

// The browser itself comes back to a stream that broke; to one that was refused it must be sent.
function follow() {
  const stream = new EventSource("/api/v1/events");
  stream.addEventListener("open", () => soon(LOOK_AFTER_MS, false));
  for (const kind of CHANGES) stream.addEventListener(kind, () => soon(LOOK_AFTER_MS, true));
  stream.addEventListener("progress", (told) => progress(JSON.parse(told.data)));
  stream.addEventListener("error", () => {
    if (stream.readyState !== EventSource.CLOSED) return;
    soon(LOOK_AFTER_MS, false);
    setTimeout(follow, COME_BACK_MS);
  });
}

localise(document);
if (live) follow();
