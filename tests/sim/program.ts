// What a simulated program may do to its process: files in memory, captured output, signals sent by the scenario.
import type { Host } from "../../src/platform/platform.ts";
import type { SimProcess } from "./process.ts";

/** Thrown by exit(); the turn that sees it ends the process. */
export class SimExit extends Error {
  constructor(readonly code: number) {
    super(`exit ${code}`);
  }
}

export class SimProgram implements Host {
  readonly runtime = "sim";
  readonly target = "sim";
  readonly output: string[] = [];
  readonly errors: string[] = [];
  exitCode: number | null = null;
  private readonly signals = new Map<string, () => void>();

  constructor(
    private readonly process: SimProcess,
    readonly pid: number,
  ) {}

  cpuSeconds(): { user: number; system: number } {
    return { user: 0, system: 0 };
  }

  residentBytes(): number {
    return 0;
  }

  stdout(text: string): void {
    this.output.push(text);
  }

  stderr(text: string): void {
    this.errors.push(text);
  }

  isTerminal(): boolean {
    return false;
  }

  readText(path: string): { ok: true; text: string } | { ok: false; reason: string } {
    const text = this.process.machine.files.get(path);
    return text === undefined ? { ok: false, reason: `${path}: no such file` } : { ok: true, text };
  }

  writeText(path: string, text: string): { ok: true } | { ok: false; reason: string } {
    this.process.machine.files.set(path, text);
    return { ok: true };
  }

  removeFile(path: string): void {
    this.process.machine.files.delete(path);
  }

  renameFile(from: string, to: string): { ok: true } | { ok: false; reason: string } {
    const { files } = this.process.machine;
    const text = files.get(from);
    if (text === undefined) return { ok: false, reason: `${from}: no such file` };
    files.set(to, text);
    files.delete(from);
    return { ok: true };
  }

  openAppend(): { ok: false; reason: string } {
    return { ok: false, reason: "files that are kept open are not simulated" };
  }

  env(name: string): string | undefined {
    return this.process.machine.environment.get(name);
  }

  onSignal(name: string, run: () => void): void {
    this.signals.set(name, run);
  }

  /** Sends a signal: it is handled in a turn of its own, or ends the process when nobody handles it. */
  signal(name: string): void {
    const run = this.signals.get(name);
    if (run === undefined) this.process.machine.crash("kill");
    else this.process.ownTimer(0, run);
  }

  exit(code: number): never {
    this.exitCode = code;
    throw new SimExit(code);
  }

  readonly inherited = [];

  datagram(): { ok: false; reason: string } {
    return { ok: false, reason: "nobody listens" };
  }

  fdLimit(): number {
    return 1024;
  }

  cores(): number {
    return 1;
  }

  becomeUser(): { ok: true } | { ok: false; reason: string } {
    return { ok: false, reason: "a simulated process has no users" };
  }

  spawnSelfDetached(): { ok: true; pid: number } | { ok: false; reason: string } {
    return { ok: false, reason: "a simulated process cannot start another" };
  }
}
