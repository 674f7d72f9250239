// The World of a platform that stands on a real kernel: Bun's and Deno's. Time is the wall's, `until` wakes when a
// handler was heard, and what needs an independent hand (an address that never answers, a stale socket file) is made by
// a Python child.
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Address, Platform } from "../../src/platform/platform.ts";
import type { World } from "./suite.ts";

/** How long a test may wait for one condition, ms. */
const UNTIL_MS = 8000;

// The queue of a listener with backlog 0 holds one connection; with that one never accepted, every further SYN is
// dropped without an answer.
const BLACKHOLE = `
import socket, sys
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(0)
c = socket.create_connection(s.getsockname())
print(s.getsockname()[1], flush=True)
sys.stdin.read()
`;
const STALE = `
import socket, sys
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1)
print("bound", flush=True)
`;

export async function realWorld(platform: Platform): Promise<World> {
  return new RealWorld(platform);
}

class RealWorld implements World {
  readonly together = true;
  readonly much = 12 * 1024 * 1024;
  private wake: (() => void) | null = null;
  private readonly children: ChildProcess[] = [];
  private dir: string | null = null;
  private paths = 0;

  constructor(readonly platform: Platform) {}

  changed(): void {
    const wake = this.wake;
    this.wake = null;
    wake?.();
  }

  async until(what: string, check: () => boolean): Promise<void> {
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      this.changed();
    }, UNTIL_MS);
    try {
      while (!check()) {
        if (late) throw new Error(`waited ${UNTIL_MS} ms in vain for ${what}`);
        await new Promise<void>((resolve) => (this.wake = resolve));
      }
    } finally {
      clearTimeout(limit);
    }
  }

  pass(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }

  async blackhole(): Promise<Address | null> {
    const port = await this.python(BLACKHOLE);
    return port === null ? null : { kind: "tcp", host: "127.0.0.1", port: Number(port) };
  }

  unixPath(): string | null {
    this.dir ??= mkdtempSync(join(tmpdir(), "tandem-contract-"));
    return join(this.dir, `socket${this.paths++}`);
  }

  async staleUnix(): Promise<string | null> {
    const path = this.unixPath()!;
    if ((await this.python(STALE, path)) === null) return null;
    await this.gone(this.children.at(-1)!); // a process that still exits may still answer
    return path;
  }

  async done(): Promise<void> {
    for (const child of this.children) await endChild(child);
    if (this.dir !== null) rmSync(this.dir, { recursive: true });
  }

  private async gone(child: ChildProcess): Promise<void> {
    if (child.exitCode === null) await new Promise((resolve) => child.on("exit", resolve));
  }

  /** The first line a Python program prints; null without Python. */
  private async python(program: string, ...args: string[]): Promise<string | null> {
    const child = startPython(program, ...args);
    this.children.push(child);
    return await firstLine(child);
  }
}

/** A Python child on pipes; its stdin's end is its sign to stop. */
export function startPython(program: string, ...args: string[]): ChildProcess {
  return spawn("python3", ["-c", program, ...args], { stdio: ["pipe", "pipe", "inherit"] });
}

/** The next line the child prints, or null when it ends (or cannot be started) before. */
export function firstLine(child: ChildProcess): Promise<string | null> {
  return new Promise((resolve) => {
    let text = "";
    child.stdout!.on("data", (bytes: Uint8Array) => {
      text += new TextDecoder().decode(bytes);
      if (text.includes("\n")) resolve(text.slice(0, text.indexOf("\n")));
    });
    child.on("error", () => resolve(null));
    child.on("close", () => resolve(null));
  });
}

/** Ends the child and waits until it is gone. */
export async function endChild(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.on("exit", resolve));
  child.kill("SIGKILL");
  await gone;
}
