// The portal's side of the frame protocol: who may speak, what is answered, what is met with silence.

const OPENABLE = /^\/(crm\/(deal|lead|contact|company|type)\/|marketplace\/|company\/personal\/user\/\d+\/|workgroups\/group\/\d+\/)/;
const CALENDAR = {
  command: ["getEvents", "viewEvent", "addEvent", "editEvent", "deleteEvent"],
  event: [
    "Calendar.customView:refreshEntries",
    "Calendar.customView:decreaseViewRangeDate",
    "Calendar.customView:increaseViewRangeDate",
    "Calendar.customView:adjustToDate",
  ],
};

// `page` is what the frame may do to the page around it: setTitle, note, ask, slide, close, post.
export class AppFrame {
  constructor(opening, place, page) {
    this.opening = opening;
    this.page = page;
    this.firstRun = opening.firstRun;
    this.appOrigin = new URL(opening.action).origin;
    this.bound = new Map();
    // What browser tests look at: accepted commands, and why others were not.
    this.seen = [];
    this.ignored = [];
    this.element = this.build(place);
    window.addEventListener("message", (event) => this.hear(event));
  }

  build(place) {
    const frame = document.createElement("iframe");
    frame.id = `appframe_${this.opening.sid}`;
    frame.name = this.opening.name;
    frame.title = "Application";
    frame.allow = "geolocation *; microphone *; camera *; autoplay *;";
    place.replaceChildren(frame);
    return frame;
  }

  // The same form a real portal submits; nothing of it is ever in the page's own address.
  submit() {
    const form = document.createElement("form");
    form.method = "post";
    form.action = this.opening.action;
    form.target = this.opening.name;
    form.hidden = true;
    for (const [name, value] of this.opening.fields) {
      const field = document.createElement("input");
      field.type = "hidden";
      field.name = name;
      field.value = value;
      form.append(field);
    }
    document.body.append(form);
    form.submit();
    form.remove();
  }

  hear(event) {
    // Another frame's messages are that frame's affair; a stranger's are counted and dropped.
    if (event.source !== this.element.contentWindow) return;
    const message = parse(event.data);
    if (event.origin !== this.appOrigin) return void this.ignored.push("origin");
    if (message === null || message.sid !== this.opening.sid) return void this.ignored.push("sid");
    const work = this.commands[message.command];
    if (!work || this.denied(message.command)) return void this.ignored.push(message.command);
    this.seen.push({ command: message.command, params: message.params });
    const answer = (value) => this.answer(message.callback, value);
    return void work(message.params, answer, message.callback);
  }

  denied(command) {
    if (CALENDAR.command.includes(command)) return this.opening.placement !== "CALENDAR_GRIDVIEW";
    return command === "setTitle" && this.opening.placement !== "DEFAULT";
  }

  answer(callback, value) {
    const text = value === undefined ? "" : JSON.stringify(value);
    this.element.contentWindow.postMessage(`${callback}:${text}`, this.appOrigin);
  }

  // Tells the application of something it asked to be told about.
  happen(event, value) {
    if (this.bound.has(event)) this.answer(this.bound.get(event), value);
  }

  commands = {
    getInitData: (_, answer) => {
      answer({ ...this.opening.init, FIRST_RUN: this.firstRun });
      this.firstRun = false;
    },
    setInstall: (params, answer) => answer(params),
    setInstallFinish: async () => {
      await this.page.post("installed", {});
      this.page.reload({ install_finished: "Y" });
    },
    refreshAuth: async (_, answer) => {
      const pair = await this.page.post("refresh", {});
      if (pair !== null) answer(pair);
    },
    resizeWindow: (params, answer) => {
      if (params.width && params.width !== "100%") this.element.style.width = `${parseInt(params.width, 10)}px`;
      this.element.style.height = `${parseInt(params.height, 10)}px`;
      answer({ width: this.element.offsetWidth, height: this.element.offsetHeight });
    },
    setTitle: (params, answer) => {
      this.page.setTitle(params.title);
      answer(params);
    },
    setScroll: (params, answer) => {
      window.scrollTo(0, Number(params.scroll) || 0);
      answer(params);
    },
    setUserOption: (params, answer) => {
      this.page.post("user-option", params);
      answer(params);
    },
    setAppOption: async (params, answer) => {
      const all = await this.page.post("app-option", params);
      if (all !== null) answer(all);
    },
    reloadWindow: () => this.page.reload({}),
    openPath: (params, answer) => {
      if (!OPENABLE.test(params.path)) return answer({ result: "error", errorCode: "PATH_NOT_AVAILABLE" });
      return this.page.slide(`The portal's page ${params.path}`, () => answer({ result: "close" }));
    },
    openApplication: (params, answer) => this.page.slideApplication(params, () => answer()),
    closeApplication: () => this.page.closeSlider(),
    getInterface: (_, answer) => {
      answer(this.opening.placement === "CALENDAR_GRIDVIEW" ? CALENDAR : { command: [], event: [] });
    },
    placementBindEvent: (params, _, callback) => {
      const { event } = this.opening.placement === "CALENDAR_GRIDVIEW" ? CALENDAR : { event: [] };
      if (event.includes(params.event)) this.bound.set(params.event, callback);
    },
    getEvents: (_, answer) => answer([]),
    viewEvent: () => this.page.note("The portal would show an event."),
    addEvent: () => this.page.note("The portal would open its form for a new event."),
    editEvent: () => this.page.note("The portal would open its form for an event."),
    deleteEvent: () => this.page.note("The portal would ask whether to delete an event."),
    imOpenMessenger: () => this.page.note("The portal would open its messenger."),
    imOpenHistory: () => this.page.note("The portal would open a conversation's history."),
    imCallTo: () => this.page.note("The portal would call."),
    imPhoneTo: () => this.page.note("The portal would dial."),
    showAppForm: () => this.page.note("The portal would show a form."),
    // Whoever cancels a dialogue gets no answer, and here everybody cancels.
    selectUser: () => this.page.note("The portal would let you choose people."),
    selectAccess: () => this.page.note("The portal would let you choose rights."),
    selectCRM: () => this.page.note("The portal would let you choose from CRM."),
  };
}

// Reads `method:PARAMS:callback:sid`, whose parameters may contain colons, or the object form.
function parse(data) {
  if (data !== null && typeof data === "object") {
    return { command: data.method, params: data.params || {}, callback: data.callback, sid: data.appSid };
  }
  const parts = String(data).split(":");
  if (parts.length < 3) return null;
  const text = parts.slice(1, -2).join(":");
  try {
    const params = text === "" ? {} : JSON.parse(text);
    return { command: parts[0], params, callback: parts.at(-2), sid: parts.at(-1) };
  } catch {
    return null;
  }
}
