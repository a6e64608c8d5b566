// Every page works without this file. It adds: copying, local times, a size check before
// sending, and a guard against sending a form twice.
"use strict";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The exact text behind a data: URL; a text field would have changed its line ends. */
function textOf(dataUrl) {
  const comma = dataUrl.indexOf(",");
  const body = dataUrl.slice(comma + 1);
  if (!dataUrl.slice(0, comma).endsWith(";base64")) return decodeURIComponent(body);
  const bytes = Uint8Array.from(atob(decodeURIComponent(body)), (char) => char.charCodeAt(0));
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

/** Copy, also where the clipboard interface is missing (a page that came over plain HTTP). */
async function copy(field, text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    field.focus();
    field.select();
    return document.execCommand("copy");
  }
}

function setUpCopy(button) {
  const field = document.getElementById(button.dataset.copy);
  const source = document.getElementById(button.dataset.copyExact);
  const status = document.getElementById(button.dataset.copyStatus);
  button.hidden = false;
  button.addEventListener("click", async () => {
    status.textContent = "";
    const text = source ? textOf(source.getAttribute("href")) : field.value;
    const copied = await copy(field, text);
    status.textContent = copied ? button.dataset.copied : "Press Ctrl+C or ⌘C to copy.";
  });
}

function fromNow(date) {
  const seconds = Math.max(0, (date.getTime() - Date.now()) / 1000);
  const [size, unit] =
    seconds < 100 ? [1, "second"]
    : seconds < 100 * MINUTE ? [MINUTE, "minute"]
    : seconds < 2 * DAY ? [HOUR, "hour"]
    : [DAY, "day"];
  return new Intl.RelativeTimeFormat("en").format(Math.round(seconds / size), unit);
}

function setUpTime(element) {
  const date = new Date(element.dateTime);
  const local = new Intl.DateTimeFormat("en-GB", {
    day: "numeric", month: "long", year: "numeric",
    hour: "2-digit", minute: "2-digit", timeZoneName: "short",
  });
  element.textContent = `${local.format(date)} (${fromNow(date)})`;
}

function setUpSizeCheck(form) {
  const field = form.querySelector("[data-max-bytes]");
  const problem = document.getElementById("too-big");
  form.addEventListener("submit", (event) => {
    const size = new TextEncoder().encode(field.value).length;
    problem.hidden = size <= Number(field.dataset.maxBytes);
    if (problem.hidden) return;
    event.preventDefault();
    problem.focus();
  });
}

/** A double click must not open a secret twice: the second answer would say that it is gone. */
function setUpOnce(form) {
  const button = form.querySelector("button");
  const status = form.querySelector("[role=status]");
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    button.setAttribute("aria-disabled", "true");
    if (status) status.textContent = form.dataset.sending;
  });
  window.addEventListener("pageshow", () => {
    delete form.dataset.sent;
    button.removeAttribute("aria-disabled");
    if (status) status.textContent = "";
  });
}

document.querySelectorAll("[data-copy]").forEach(setUpCopy);
document.querySelectorAll("[data-select]").forEach((field) => {
  field.addEventListener("focus", () => field.select());
});
document.querySelectorAll("time[data-local]").forEach(setUpTime);
document.querySelectorAll("form[data-sized]").forEach(setUpSizeCheck);
document.querySelectorAll("form[data-once]").forEach(setUpOnce);
