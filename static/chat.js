// The playground: the composer's keys, and the answer as the server writes it. Everything here
// quickens forms that work without it. All HTML comes from the server, cleaned there.
"use strict";

const composer = document.getElementById("composer");
const text = document.getElementById("composer-text");
const refused = document.getElementById("composer-error");
const chat = document.getElementById("chat");
const messages = document.getElementById("messages");
let socket = null;
let wait = 500;

if (composer) {
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      composer.requestSubmit();
    }
  });
  if (!chat) text.focus();
}
if (chat) start();

function start() {
  connect();
  mend(messages);
  toEnd();
  if (composer) {
    take(composer, () => ({
      do: "send",
      text: text.value,
      deployment: Number(document.getElementById("composer-model").value),
    }));
    take(document.getElementById("regenerate"), () => ({ do: "regenerate" }));
    take(document.getElementById("stop"), () => ({ do: "stop" }));
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && writing() && !document.querySelector("dialog[open]")) {
      tell({ do: "stop" });
    }
  });
  messages.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });
}

// A form goes by the socket while there is one, and by POST otherwise.
function take(form, command) {
  form.addEventListener("submit", (event) => {
    if (tell(command())) event.preventDefault();
  });
}

function tell(command) {
  if (!socket || socket.readyState !== WebSocket.OPEN) return false;
  refused.hidden = true;
  socket.send(JSON.stringify(command));
  return true;
}

function connect() {
  const whole = [...messages.querySelectorAll("[data-message]:not([data-writing])")];
  const after = whole.reduce((last, one) => Math.max(last, Number(one.dataset.message)), 0);
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}${chat.dataset.chat}?after=${after}`);
  socket.onopen = () => {
    wait = 500;
    document.getElementById("lost").hidden = true;
  };
  socket.onmessage = (event) => show(JSON.parse(event.data));
  socket.onclose = (event) => {
    if (event.code >= 4400 && event.code < 4500) return lost("This conversation is not open to you any more. Sign in again.");
    lost(`Reconnecting; this is the conversation up to ${new Date().toLocaleTimeString()}.`);
    setTimeout(connect, wait);
    wait = Math.min(wait * 2, 10000);
  };
}

function lost(sentence) {
  const strip = document.getElementById("lost");
  strip.textContent = sentence;
  strip.hidden = false;
}

function show(frame) {
  const isAtEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 80;
  if (frame.kind === "message") put(frame);
  else if (frame.kind === "writing") grow(frame);
  else if (frame.kind === "accepted") text.value = "";
  else if (frame.kind === "refused") {
    refused.textContent = frame.text;
    refused.hidden = false;
  }
  if (isAtEnd) toEnd();
}

function put(frame) {
  const stands = new Set(frame.ids.map(String));
  for (const one of messages.querySelectorAll("[data-message]")) {
    if (!stands.has(one.dataset.message)) one.remove();
  }
  const fresh = document.createRange().createContextualFragment(frame.html);
  const old = document.getElementById(`message-${frame.id}`);
  const wasWriting = old && old.hasAttribute("data-writing");
  const wasOpen = old && old.querySelector("details[open]");
  if (old) old.replaceWith(fresh);
  else messages.append(fresh);
  const now = document.getElementById(`message-${frame.id}`);
  if (wasOpen) now.querySelector("details")?.setAttribute("open", "");
  mend(now);
  if (wasWriting && !writing()) document.getElementById("told").textContent = "Answer finished.";
}

function grow(frame) {
  const message = document.getElementById(`message-${frame.id}`);
  if (!message || !message.hasAttribute("data-writing")) return;
  const thinking = message.querySelector("[data-thinking]");
  const blocks = message.querySelector("[data-blocks]");
  if (frame.is_first) {
    thinking.textContent = "";
    blocks.replaceChildren();
  }
  if (frame.thinking) {
    thinking.append(frame.thinking);
    message.querySelector("[data-thinking-fold]").hidden = false;
  }
  if (frame.blocks) blocks.append(document.createRange().createContextualFragment(frame.blocks));
  message.querySelector("[data-tail]").textContent = frame.tail;
  const rate = frame.seconds ? (frame.num_tokens / frame.seconds).toFixed(1) : "0.0";
  message.querySelector("[data-numbers]").textContent =
    `${frame.num_tokens} tokens, ${frame.seconds.toFixed(1)} s, ${rate} tokens/s`;
}

// Buttons that only make sense with a script, or only while nothing is written.
function mend(part) {
  for (const button of part.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
  if (!composer) return;
  const isWriting = Boolean(writing());
  composer.querySelector("[form=stop]").hidden = !isWriting;
  composer.querySelector("[form=regenerate]").hidden = isWriting || !messages.children.length;
  document.getElementById("composer-send").hidden = isWriting;
}

function writing() {
  return messages.querySelector("[data-writing]");
}

async function copy(button) {
  const answer = button.closest("[data-message]").querySelector("[data-answer]");
  await navigator.clipboard.writeText(answer.innerText);
  document.getElementById("told").textContent = "Copied.";
}

function toEnd() {
  scrollTo({ top: document.documentElement.scrollHeight });
}
