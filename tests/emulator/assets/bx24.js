// A look-alike of Bitrix24's frame library, small enough to read: the same names, the same messages.
(() => {
  "use strict";

  const [domain, protocol, sid] = window.name.split("|");
  if (!domain || !sid) throw new Error("Unable to initialize Bitrix24 JS library!");

  const origin = (protocol === "1" ? "https://" : "http://") + domain.replace(/:(80|443)$/, "");
  const waiting = new Map();
  const initHandlers = [];
  const installHandlers = [];
  let data = null;
  let state = "idle";
  let sent = 0;

  const nothing = () => {};

  function send(command, params, callback) {
    sent += 1;
    const id = `cb_${sent}`;
    if (callback) waiting.set(id, callback);
    const text = params === undefined || params === null ? "" : JSON.stringify(params);
    parent.postMessage(`${command}:${text}:${id}:${sid}`, origin);
  }

  window.addEventListener("message", (event) => {
    if (event.origin !== origin || typeof event.data !== "string") return;
    const colon = event.data.indexOf(":");
    const callback = waiting.get(event.data.slice(0, colon));
    const text = event.data.slice(colon + 1);
    if (callback) callback(text === "" ? undefined : JSON.parse(text));
  });

  function take(answer) {
    data = { ...data, ...answer };
    data.AUTH_MOMENT = Date.now() + Number(answer.AUTH_EXPIRES) * 1000;
  }

  function release() {
    state = "ready";
    initHandlers.splice(0).forEach((handler) => handler());
  }

  function begin(answer) {
    take(answer);
    if (!data.FIRST_RUN) return release();
    send("setInstall", { install: true }, nothing);
    if (installHandlers.length === 0) return release();
    state = "installing";
    return installHandlers.splice(0).forEach((handler) => handler());
  }

  function pairs(value, name, form) {
    if (value !== null && typeof value === "object") {
      for (const [key, member] of Object.entries(value)) {
        pairs(member, name === "" ? key : `${name}[${key}]`, form);
      }
    } else if (value !== undefined) {
      form.append(name, value === null ? "" : String(value));
    }
    return form;
  }

  class Result {
    constructor(answer, query) {
      this.answer = answer;
      this.query = query;
    }

    data() { return this.answer.result; }

    error() {
      if (!("error" in this.answer)) return undefined;
      const { status, ...ex } = this.answer;
      return { status, ex, toString: () => `${ex.error}: ${ex.error_description}` };
    }

    more() { return "next" in this.answer; }

    total() { return Number(this.answer.total || 0); }

    time() { return this.answer.time; }

    next(callback) {
      if (!this.more()) return false;
      const { method, params, then } = this.query;
      BX24.callMethod(method, { ...params, start: this.answer.next }, callback || then);
      return true;
    }
  }

  async function ask(method, params) {
    const body = pairs({ ...params, auth: data.AUTH_ID }, "", new URLSearchParams());
    const answer = await fetch(`${origin}${data.PATH}/${method}.json`, { method: "POST", body });
    const parsed = await answer.json();
    return "error" in parsed ? { ...parsed, status: answer.status } : parsed;
  }

  function refreshed() {
    return new Promise((resolve) => { BX24.refreshAuth(resolve); });
  }

  const BX24 = {
    init(handler) {
      if (state === "ready") return handler();
      initHandlers.push(handler);
      if (state === "idle") {
        state = "asking";
        send("getInitData", null, begin);
      }
      return undefined;
    },

    install(handler) {
      installHandlers.push(typeof handler === "string" ? () => { location.href = handler; } : handler);
    },

    installFinish() {
      if (data && data.INSTALL) send("setInstallFinish", {});
      else if (state === "installing") release();
    },

    getAuth() {
      if (!data || data.AUTH_MOMENT < Date.now()) return false;
      return {
        access_token: data.AUTH_ID,
        refresh_token: data.REFRESH_ID,
        expires_in: data.AUTH_MOMENT,
        domain: data.DOMAIN,
        member_id: data.MEMBER_ID,
      };
    },

    refreshAuth(callback = nothing) {
      send("refreshAuth", {}, (answer) => {
        take(answer);
        callback(BX24.getAuth());
      });
    },

    async callMethod(method, params = {}, callback = nothing) {
      let answer = await ask(method, params);
      if (answer.error === "expired_token") {
        await refreshed();
        answer = await ask(method, params);
      }
      callback(new Result(answer, { method, params, then: callback }));
    },

    callBatch(calls, callback = nothing, halt = false) {
      const cmd = {};
      for (const [key, call] of Object.entries(calls)) {
        const [method, params] = Array.isArray(call) ? call : [call.method, call.params];
        cmd[key] = `${method}?${pairs(params || {}, "", new URLSearchParams())}`;
      }
      BX24.callMethod("batch", { halt: halt ? 1 : 0, cmd }, (whole) => {
        const answer = whole.data();
        const results = {};
        for (const key of Object.keys(cmd)) {
          results[key] = new Result(answer.result_error[key] || { result: answer.result[key] }, {});
        }
        callback(results);
      });
    },

    callBind(event, handler, authType, callback) {
      BX24.callMethod("event.bind", { event, handler, auth_type: authType }, callback);
    },

    callUnbind(event, handler, authType, callback) {
      BX24.callMethod("event.unbind", { event, handler, auth_type: authType }, callback);
    },

    getScrollSize() {
      const page = document.documentElement;
      return {
        scrollWidth: Math.max(page.scrollWidth, page.offsetWidth),
        scrollHeight: Math.max(page.scrollHeight, page.offsetHeight),
      };
    },

    fitWindow(callback) {
      BX24.resizeWindow("100%", BX24.getScrollSize().scrollHeight, callback);
    },

    resizeWindow(width, height, callback) {
      if (height > 0) send("resizeWindow", { width, height }, callback);
    },

    getLang: () => data.LANG,
    getDomain: () => domain.replace(/:(80|443)$/, ""),
    isAdmin: () => data.IS_ADMIN,
    isReady: () => document.readyState !== "loading",
    ready(handler) {
      if (BX24.isReady()) handler();
      else document.addEventListener("DOMContentLoaded", handler);
    },
    bind: (element, name, handler) => element.addEventListener(name, handler),
    unbind: (element, name, handler) => element.removeEventListener(name, handler),
    proxy: (handler, self) => handler.bind(self),

    loadScript(addresses, callback = nothing) {
      const [first, ...rest] = [addresses].flat();
      if (first === undefined) return callback();
      const script = document.createElement("script");
      script.src = first;
      script.onload = () => BX24.loadScript(rest, callback);
      return document.head.append(script);
    },

    setTitle: (title, callback) => send("setTitle", { title: String(title) }, callback),
    reloadWindow: (callback) => send("reloadWindow", {}, callback),
    scrollParentWindow: (scroll, callback) => send("setScroll", { scroll }, callback),
    closeApplication: (callback) => send("closeApplication", {}, callback),
    openPath: (path, callback) => send("openPath", { path }, callback),
    im: { openMessenger: (dialogId) => send("imOpenMessenger", { dialogId }) },
    selectUser: (callback) => send("selectUser", { mult: false }, callback),
    selectUsers: (callback) => send("selectUser", { mult: true }, callback),

    openApplication(params = {}, closed = nothing, settings = {}) {
      const named = Object.entries(settings).map(([key, value]) => [`bx24_${key}`, value]);
      send("openApplication", { ...params, ...Object.fromEntries(named) }, closed);
    },

    appOption: {
      get: (name) => data.APP_OPTIONS[name],
      set(name, value, callback) {
        send("setAppOption", { name, value }, (all) => {
          data.APP_OPTIONS = all;
          if (callback) callback(all);
        });
      },
    },

    userOption: {
      get: (name) => data.USER_OPTIONS[name],
      set(name, value) {
        data.USER_OPTIONS = { ...data.USER_OPTIONS, [name]: value };
        send("setUserOption", { name, value });
      },
    },

    placement: {
      info: () => ({ placement: data.PLACEMENT, options: data.PLACEMENT_OPTIONS }),
      getInterface: (callback) => send("getInterface", null, callback),
      call: (command, params, callback) => send(command, params, callback),
      bindEvent: (event, callback) => send("placementBindEvent", { event }, callback),
    },
  };

  window.BX24 = BX24;
})();
