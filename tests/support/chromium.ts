// A real browser without a window, for tests of pages: Debian's chromium, driven over its DevTools protocol.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const CHROMIUM = "/usr/bin/chromium";
const START_MS = 20_000;

/** Why there is none to test with; "" when there is one. */
export function chromiumMissing(): string {
  return existsSync(CHROMIUM) ? "" : `${CHROMIUM} is not installed`;
}

export interface Page {
  /** Errors of the console, uncaught exceptions and refused resources, in words. */
  readonly complaints: readonly string[];
  /** Every address that it asked for. */
  readonly asked: readonly string[];
  /** What an expression is worth in the page; it must be JSON. */
  evaluate<T>(expression: string): Promise<T>;
  /** Resolves with how long it took, ms, once the expression is true in the page; it is looked at in each of its frames. */
  until(expression: string, deadlineMs: number): Promise<number>;
  /** How wide and high its window is, and whether the reader wishes dark colours. */
  shape(width: number, height: number, dark: boolean): Promise<void>;
  /** A PNG of the page, all of its height. */
  picture(): Promise<Uint8Array>;
}

export interface Browser {
  open(address: string): Promise<Page>;
  close(): Promise<void>;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly sessionId?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

export async function startChromium(): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), "tandem-chromium-"));
  const child = spawn(CHROMIUM, [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--hide-scrollbars", "--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank",
  ], { stdio: ["ignore", "ignore", "pipe"], env: { ...process.env, HOME: profile } });
  const ended = new Promise<void>((done) => child.once("exit", () => done()));
  const atExit = (): void => void child.kill("SIGKILL");
  process.once("exit", atExit);
  const close = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
    process.removeListener("exit", atExit);
    // Its helpers may still write for a moment.
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
  };
  try {
    return { open: await connect(await endpoint(child.stderr)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function endpoint(stderr: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const late = setTimeout(() => reject(new Error(`chromium does not start:\n${text}`)), START_MS);
    stderr.on("data", (chunk: Uint8Array) => {
      text += new TextDecoder().decode(chunk);
      const found = /DevTools listening on (ws:\S+)/.exec(text);
      if (found === null) return;
      clearTimeout(late);
      resolve(found[1]!);
    });
  });
}

async function connect(address: string): Promise<(page: string) => Promise<Page>> {
  const socket = new WebSocket(address);
  await new Promise((open, failed) => {
    socket.onopen = open;
    socket.onerror = () => failed(new Error("chromium's DevTools cannot be reached"));
  });
  const waiting = new Map<number, (message: Message) => void>();
  const listeners = new Map<string, (message: Message) => void>();
  let last = 0;
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(String(data)) as Message;
    if (message.id !== undefined) waiting.get(message.id)?.(message);
    else if (message.sessionId !== undefined) listeners.get(message.sessionId)?.(message);
  };
  const call = (method: string, params: object = {}, sessionId?: string): Promise<Record<string, unknown>> =>
    new Promise((resolve, reject) => {
      const id = ++last;
      waiting.set(id, ({ result, error }) => {
        waiting.delete(id);
        if (error !== undefined) reject(new Error(`${method}: ${error.message}`));
        else resolve(result ?? {});
      });
      socket.send(JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }));
    });
  return async (page) => {
    const { targetId } = await call("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await call("Target.attachToTarget", { targetId, flatten: true }) as { sessionId: string };
    return openPage((method, params) => call(method, params, sessionId), (hear) => void listeners.set(sessionId, hear), page);
  };
}

async function openPage(
  call: (method: string, params?: object) => Promise<Record<string, unknown>>, listen: (hear: (message: Message) => void) => void, address: string,
): Promise<Page> {
  const complaints: string[] = [], asked: string[] = [];
  let loaded = (): void => {};
  const loading = new Promise<void>((done) => (loaded = done));
  listen(({ method, params }) => {
    if (method === "Page.loadEventFired") loaded();
    if (method === "Runtime.exceptionThrown") complaints.push(JSON.stringify(params!["exceptionDetails"]));
    if (method === "Runtime.consoleAPICalled" && params!["type"] === "error") complaints.push(JSON.stringify(params!["args"]));
    if (method === "Log.entryAdded" && (params!["entry"] as { level: string }).level === "error") complaints.push(JSON.stringify(params!["entry"]));
    if (method === "Network.requestWillBeSent") asked.push((params!["request"] as { url: string }).url);
  });
  for (const domain of ["Runtime", "Log", "Network", "Page"]) await call(`${domain}.enable`);
  await call("Page.navigate", { url: address });
  await loading;
  const run = async (expression: string): Promise<unknown> => {
    const { result, exceptionDetails } = await call("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value?: unknown }).value;
  };
  return {
    complaints, asked,
    evaluate: <T>(expression: string) => run(expression) as Promise<T>,
    async until(expression, deadlineMs) {
      const began = performance.now();
      const text = `new Promise((done) => { const end = performance.now() + ${deadlineMs};
        const look = () => (${expression}) ? done(true) : performance.now() > end ? done(false) : setTimeout(look, 20); look(); })`;
      if (await run(text) !== true) throw new Error(`not within ${deadlineMs} ms: ${expression}\n${String(await run("document.body.innerText"))}`);
      return performance.now() - began;
    },
    async shape(width, height, dark) {
      await call("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: false });
      await call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
    },
    async picture() {
      const { data } = await call("Page.captureScreenshot", { format: "png", captureBeyondViewport: true });
      return Uint8Array.from(atob(String(data)), (c) => c.charCodeAt(0));
    },
  };
}
