// The playground: the composer's keys, answers as the server writes them, passages in a drawer.
// Everything here quickens forms and links that work without it. All HTML comes from the
// server, cleaned there.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const composer = document.getElementById("composer");
  const drawer = document.getElementById("drawer");
  const isBoth = Boolean(composer && "both" in composer.dataset);
  const panes = [];

  // One conversation: its messages, and the socket that brings them.
  class Pane {
    constructor(element) {
      this.element = element;
      this.messages = element.querySelector("[data-messages]");
      this.socket = null;
      this.wait = 500;
      this.connect();
      this.mend(this.messages);
    }

    connect() {
      const whole = all("[data-message]:not([data-writing])", this.messages);
      const after = whole.length ? whole[whole.length - 1].dataset.message : 0;
      const scheme = location.protocol === "https:" ? "wss" : "ws";
      this.socket = new WebSocket(`${scheme}://${location.host}${this.element.dataset.chat}?after=${after}`);
      // A socket that is refused opens too: what counts is that it was not closed at once.
      const socket = this.socket;
      socket.onopen = () => setTimeout(() => {
        if (socket.readyState !== WebSocket.OPEN) return;
        this.wait = 500;
        this.element.querySelector("[data-lost]").hidden = true;
      }, 300);
      this.socket.onmessage = (event) => this.take(JSON.parse(event.data));
      this.socket.onclose = (event) => {
        // 1013 and 4429 with a reason: every seat is taken. Forms still work, by the page.
        if (event.reason && (event.code === 1013 || event.code === 4429)) {
          this.lost(event.reason);
          return setTimeout(() => this.connect(), 14000 + 12000 * Math.random());
        }
        if (event.code >= 4400 && event.code < 4500) return this.lost("This conversation is not open to you any more. Sign in again.");
        this.lost(`Reconnecting; this is the conversation up to ${new Date().toLocaleTimeString("en-GB")}.`);
        setTimeout(() => this.connect(), this.wait);
        this.wait = Math.min(this.wait * 2, 10000);
      };
    }

    tell(command) {
      if (!this.socket || this.socket.readyState !== WebSocket.OPEN) return false;
      this.socket.send(JSON.stringify(command));
      return true;
    }

    lost(sentence) {
      const strip = this.element.querySelector("[data-lost]");
      strip.textContent = sentence;
      strip.hidden = false;
    }

    say(sentence) {
      this.element.querySelector("[data-told]").textContent = sentence;
    }

    take(frame) {
      const isAtEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 80;
      if (frame.kind === "message") this.put(frame);
      else if (frame.kind === "ids") this.keep(frame.ids);
      else if (frame.kind === "writing") this.grow(frame);
      else answered(formOf(frame.form), frame);
      if (isAtEnd) toEnd();
    }

    keep(ids) {
      const stands = new Set(ids.map(String));
      for (const one of all("[data-message]", this.messages)) {
        if (!stands.has(one.dataset.message)) one.remove();
      }
      this.mend(this.messages);
    }

    put(frame) {
      this.keep(frame.ids);
      const old = document.getElementById(`message-${frame.id}`);
      const wasWriting = old && old.hasAttribute("data-writing");
      const opened = old ? all("details[open] > summary", old).map((summary) => summary.textContent) : [];
      const fresh = fragment(frame.html);
      if (old) old.replaceWith(fresh);
      else this.messages.append(fresh);
      const now = document.getElementById(`message-${frame.id}`);
      for (const summary of all("details > summary", now)) {
        if (opened.includes(summary.textContent)) summary.parentElement.open = true;
      }
      htmx.process(now);
      this.mend(now);
      if (wasWriting && !this.writing) this.say("Answer finished.");
    }

    grow(frame) {
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
      for (const html of frame.calls) putCall(message.querySelector("[data-calls]"), html);
      if (frame.blocks) blocks.append(fragment(frame.blocks));
      message.querySelector("[data-tail]").textContent = frame.tail;
      const rate = frame.seconds ? (frame.num_tokens / frame.seconds).toFixed(1) : "0.0";
      message.querySelector("[data-numbers]").textContent = `${frame.num_tokens} tokens, ${frame.seconds.toFixed(1)} s, ${rate} tokens/s`;
    }

    // Buttons that only make sense with a script, or only while nothing is written; a form
    // that came by the socket lacks the page's token.
    mend(part) {
      for (const button of all("[data-copy-answer]", part)) button.hidden = !navigator.clipboard;
      const token = document.querySelector("[name=csrfmiddlewaretoken]");
      for (const form of all("form[method=post]", part)) {
        if (token && !form.querySelector("[name=csrfmiddlewaretoken]")) form.prepend(token.cloneNode());
      }
      showButtons();
    }

    get writing() {
      return this.messages.querySelector("[data-writing]");
    }
  }

  function showButtons() {
    if (!composer || !panes.length) return;
    const isWriting = panes.some((one) => one.writing);
    for (const button of all("[data-stop]", composer)) button.hidden = !isWriting;
    for (const button of all("[data-send]", composer)) button.hidden = isWriting;
  }

  function fragment(html) {
    return document.createRange().createContextualFragment(html);
  }

  function putCall(list, html) {
    const fresh = fragment(html).firstElementChild;
    const old = list.querySelector(`[data-call="${fresh.dataset.call}"]`);
    if (old) old.replaceWith(fresh);
    else list.append(fresh);
  }

  // What the server says to a form: taken, refused with a sentence, or warned of identifiers.
  function answered(form, frame) {
    if (!form) return;
    const refused = form.querySelector("[data-refused]");
    const warning = form.querySelector("[data-warning]");
    warning.replaceChildren();
    refused.hidden = frame.kind !== "refused";
    refused.textContent = frame.text || "";
    if (frame.kind === "warned") {
      warning.append(fragment(frame.html));
      warning.querySelector("button")?.focus();
    }
    if (frame.kind !== "accepted") return;
    const text = form.querySelector("textarea");
    if (form === composer) text.value = "";
    form.closest("details")?.removeAttribute("open");
  }

  function formOf(name) {
    return name ? document.querySelector(`form[data-form="${CSS.escape(name)}"]`) : composer;
  }

  // A form goes by the socket while there is one, and by POST otherwise.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    const home = form.closest("[data-pane]");
    const one = panes.find((other) => other.element === home) || panes[0];
    if (!one || event.defaultPrevented) return;
    const command = commandOf(form, event.submitter);
    if (!command) return;
    if (form === composer && isBoth) {
      event.preventDefault();
      sendBoth(form, event.submitter);
    } else if (command.do === "stop" ? stopAll() : one.tell(command)) {
      event.preventDefault();
    }
  });

  function commandOf(form, submitter) {
    const text = form.querySelector("textarea")?.value;
    const anyway = submitter?.name === "anyway";
    const name = form.dataset.form || "";
    if (form === composer) {
      return { do: "send", form: name, text, anyway, deployment: Number(document.getElementById("composer-model")?.value) };
    }
    if (form.id === "stop") return { do: "stop" };
    if (name.startsWith("edit-")) return { do: "edit", form: name, text, anyway, message: Number(name.slice(5)) };
    if ("again" in form.dataset) return { do: "regenerate", message: Number(submitter?.value) };
    if ("show" in form.dataset) return { do: "show", message: Number(submitter?.value) };
    return null;
  }

  async function sendBoth(form, submitter) {
    const body = new FormData(form, submitter);
    const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    if (answer.ok || answer.status === 422) answered(form, await answer.json());
    else answered(form, { kind: "refused", text: `The server answered with ${answer.status}. Send it again.` });
  }

  function stopAll() {
    return panes.filter((one) => one.writing).map((one) => one.tell({ do: "stop" })).some(Boolean);
  }

  document.addEventListener("keydown", (event) => {
    const isOpen = document.querySelector("dialog[open]");
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches?.("textarea[name=text]")) {
      event.preventDefault();
      event.target.form.requestSubmit();
    } else if (event.key === "Escape" && !isOpen && panes.some((one) => one.writing)) {
      stopAll();
    } else if (event.key === "ArrowUp" && event.altKey && !isOpen) {
      const last = all("details[data-edit]").pop();
      if (!last) return;
      event.preventDefault();
      last.open = true;
      last.querySelector("textarea").focus();
    }
  });

  document.addEventListener("click", (event) => {
    const copying = event.target.closest("[data-copy-answer]");
    if (copying) return copy(copying);
    const starter = event.target.closest("[data-starter]");
    if (starter && composer && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      const text = document.getElementById("composer-text");
      text.value = starter.textContent;
      text.focus();
      return;
    }
    const source = event.target.closest("a[data-source]");
    if (source && drawer && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
      event.preventDefault();
      open(source);
    }
    // A click beside the drawer closes it.
    if (event.target === drawer) drawer.close();
  });

  async function open(link) {
    const answer = await fetch(link.href, { headers: { "HX-Request": "true" } });
    if (!answer.ok) return location.assign(link.href);
    drawer.querySelector("[data-drawer]").replaceChildren(fragment(await answer.text()));
    drawer.showModal();
    drawer.onclose = () => link.isConnected && link.focus();
  }

  async function copy(button) {
    const message = button.closest("[data-message]");
    await navigator.clipboard.writeText(message.querySelector("[data-answer]").innerText);
    const home = message.closest("[data-pane]");
    panes.find((one) => one.element === home)?.say("Copied.");
    window.kos.toast("Copied.", "success");
  }

  function toEnd() {
    scrollTo({ top: document.documentElement.scrollHeight });
  }

  for (const element of all("[data-chat]")) panes.push(new Pane(element));
  if (panes.length && !location.hash) toEnd();
  else if (composer && !panes.length) document.getElementById("composer-text").focus();
})();
