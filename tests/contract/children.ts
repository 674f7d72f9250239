// Child processes of the contract's tests: started, read line by line, ended by pid.
import { spawn, type ChildProcess } from "node:child_process";
import process from "node:process";

/** How long a child may take for one line or for its end, ms. */
const CHILD_MS = 15_000;

export class Child {
  /** Everything on stdout so far that was not read as a line. */
  text = "";
  private readonly process: ChildProcess;
  private readonly exited: Promise<number | null>;
  private wake: (() => void) | null = null;
  private over = false;

  constructor(command: readonly string[], extra: { env?: Record<string, string> } = {}) {
    const env = { ...process.env, ...extra.env };
    this.process = spawn(command[0]!, command.slice(1), { stdio: ["pipe", "pipe", "inherit"], env });
    this.process.stdout!.on("data", (bytes: Uint8Array) => {
      this.text += new TextDecoder().decode(bytes);
      this.stir();
    });
    this.exited = new Promise((resolve) => {
      const end = (code: number | null): void => {
        this.over = true;
        this.stir();
        resolve(code);
      };
      this.process.on("error", () => end(null));
      this.process.on("close", end);
    });
  }

  get pid(): number {
    return this.process.pid!;
  }

  /** The next line without its end; null when the child ended, or could not be started, before it said one. */
  async line(): Promise<string | null> {
    const limit = Date.now() + CHILD_MS;
    while (!this.text.includes("\n") && !this.over) {
      if (Date.now() >= limit) throw new Error(`a child said nothing for ${CHILD_MS} ms`);
      const timer = setTimeout(() => this.stir(), CHILD_MS);
      await new Promise<void>((resolve) => (this.wake = resolve));
      clearTimeout(timer);
    }
    const end = this.text.indexOf("\n");
    if (end < 0) return null;
    const line = this.text.slice(0, end);
    this.text = this.text.slice(end + 1);
    return line;
  }

  /** The next line's JSON; an end of the child instead of it throws. */
  async json(): Promise<unknown> {
    const line = await this.line();
    if (line === null) throw new Error("the child ended without an answer");
    return JSON.parse(line);
  }

  private stir(): void {
    const wake = this.wake;
    this.wake = null;
    wake?.();
  }

  /** Writes to its stdin. */
  tell(text: string): void {
    this.process.stdin!.write(text);
  }

  signal(name: NodeJS.Signals): void {
    // Not ChildProcess.kill: on Deno that closes the child's pipes, whatever the signal.
    process.kill(this.pid, name);
  }

  /** Its exit code; null when a signal ended it or it could not be started. */
  exit(): Promise<number | null> {
    return this.exited;
  }

  /** Ends it and waits until it is gone. */
  async end(): Promise<void> {
    if (!this.over) this.signal("SIGKILL");
    await this.exited;
  }
}

/** A Python program as a child: the independent hand of these tests. */
export function python(program: string, ...args: string[]): Child {
  return new Child(["python3", "-c", program, ...args]);
}
