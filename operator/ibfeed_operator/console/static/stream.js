// The connection to the console: signing in, and server-sent events that come back by themselves.

const AGAIN_MS = 2000;
const SILENT_MS = 8000; // the server sends something each two seconds
const EVENTS = ["hello", "feeds", "contracts", "sinks", "kafka", "sparklines", "quotes", "history"];

async function post(path, body, token) {
  const headers = { "Content-Type": "application/json" };
  if (token) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

export async function signIn(token) {
  const { code } = await post("/api/session", {}, token);
  await post("/api/redeem", { code });
}

export const signOut = () => post("/api/sign-out", {});

// `ibfeed dashboard` opens the page with a code after the #, which no server and no log gets to see.
export async function redeemFragment() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (!code) return;
  history.replaceState(null, "", location.pathname);
  await post("/api/redeem", { code });
}

// handle(name, data) gets each event, tell(level, text) the state, over() is called when nobody is signed in.
export class Stream {
  constructor(handle, tell, over) {
    Object.assign(this, { handle, tell, over });
    setInterval(() => this.#watch(), 1000);
  }

  open() {
    this.close();
    this.heard = Date.now();
    this.tell("wait", "Connecting");
    const source = (this.source = new EventSource("/api/stream"));
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        this.heard = Date.now();
        this.handle(name, JSON.parse(event.data));
        this.tell("live", "Live");
      });
    }
    source.addEventListener("over", () => this.#end());
    source.addEventListener("error", () => this.#lost());
  }

  close() {
    this.source?.close();
    this.source = null;
  }

  #end() {
    this.close();
    this.over();
  }

  async #lost() {
    this.close();
    this.tell("down", "Disconnected");
    let problem = "The console does not answer. Is `ibfeed dashboard` still running?";
    try {
      const answer = await fetch("/api/feeds");
      if (answer.status === 401) return this.over();
      problem = answer.ok ? "The stream was cut." : (await answer.text()).trim();
    } catch {
      // Said already.
    }
    this.tell("down", "Disconnected", `${problem} It is tried again.`);
    setTimeout(() => this.source ?? this.open(), AGAIN_MS);
  }

  #watch() {
    if (this.source && Date.now() - this.heard > SILENT_MS) this.#lost();
  }
}
