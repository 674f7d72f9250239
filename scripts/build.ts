// Builds the binaries: scripts/build [--all | --deno] [--outdir DIR]. Two builds of one commit are equal byte by byte,
// wherever the checkout lies: bun embeds the output's base name and nothing else of its place.
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";

const ROOT = resolve(import.meta.dir, "..");
/** What the binary is made of; a change in it makes the commit "-dirty". */
const INPUTS = ["src", "package.json", "package-lock.json", "tsconfig.json", "scripts/build.ts"];
/** Bun fetches the foreign ones from npm, in its own version: @oven/bun-linux-aarch64 and so on. */
const TARGETS = ["linux-x64", "linux-arm64", "linux-x64-musl", "linux-arm64-musl", "darwin-x64", "darwin-arm64"];

/**
 * A compiled binary would otherwise run what the bunfig.toml of its working directory preloads, and take over its
 * .env: files that belong to whoever owns that directory, not to us.
 */
const DEAF = [
  "--no-compile-autoload-bunfig", "--no-compile-autoload-dotenv",
  "--no-compile-autoload-tsconfig", "--no-compile-autoload-package-json",
];

const EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_NO_BASE = 3;

function say(line: string): void {
  process.stderr.write(`scripts/build: ${line}\n`);
}

function stop(code: number, line: string): never {
  say(line);
  process.exit(code);
}

/** Runs a command in ROOT; its stdout, or null when it failed. */
function output(command: readonly string[]): string | null {
  const run = Bun.spawnSync([...command], { cwd: ROOT, stdout: "pipe", stderr: "ignore" });
  return run.exitCode === 0 ? run.stdout.toString().trim() : null;
}

/** The commit, with "-dirty" when an input differs from it; "unknown" outside of git. */
function commitName(): string {
  const commit = Bun.which("git") === null ? null : output(["git", "rev-parse", "HEAD"]);
  if (commit === null) return "unknown";
  return output(["git", "status", "--porcelain", "--", ...INPUTS]) === "" ? commit : `${commit}-dirty`;
}

function ownTarget(): string {
  const loader = `/lib/ld-musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`;
  const glibc = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"].some((path) => existsSync(path));
  return `${process.platform}-${process.arch}${existsSync(loader) && !glibc ? "-musl" : ""}`;
}

/** Compiles for target into file; foreign: not for this machine. */
function compile(target: string, file: string, commit: string, foreign: boolean): void {
  const run = Bun.spawnSync([
    process.execPath, "build", "src/main.bun.ts", "--compile", "--splitting", "--minify", "--bytecode", "--format=esm", ...DEAF,
    ...(foreign ? [`--target=bun-${target}`] : []),
    `--define=TANDEM_COMMIT=${JSON.stringify(commit)}`, `--define=TANDEM_TARGET=${JSON.stringify(target)}`,
    `--outfile=${file}`,
  ], { cwd: ROOT, stdout: "pipe", stderr: "pipe" });
  if (run.exitCode !== 0 || !existsSync(file)) {
    stop(EXIT_FAILED, `${target}: bun build failed\n${run.stdout}${run.stderr}`);
  }
  say(`${file} ${target} ${commit} ${(statSync(file).size / 1e6).toFixed(1)} MB`);
}

/**
 * One bundle by Bun, then Deno's own binary around it. Deno compiles in an empty directory: it would embed every
 * node_modules that it finds above the entry.
 */
function compileWithDeno(dir: string, commit: string): void {
  const bundle = join(dir, "tandem.deno.js");
  const bundled = Bun.spawnSync([
    process.execPath, "build", "src/main.deno.ts", "--target=node", "--format=esm", "--minify", "--conditions=deno",
    `--define=TANDEM_COMMIT=${JSON.stringify(commit)}`, `--define=TANDEM_TARGET=${JSON.stringify(ownTarget())}`,
    `--outfile=${bundle}`,
  ], { cwd: ROOT, stdout: "pipe", stderr: "pipe" });
  if (bundled.exitCode !== 0) stop(EXIT_FAILED, `deno: bun build failed\n${bundled.stdout}${bundled.stderr}`);
  say(`${bundle} (runs with: deno run -A --unstable-net ${bundle})`);

  const empty = mkdtempSync(join(tmpdir(), "tandem-deno-"));
  const entry = join(empty, "tandem.deno.js");
  const file = join(dir, "tandem-deno");
  Bun.spawnSync(["cp", bundle, entry]);
  const run = Bun.spawnSync([
    join(ROOT, "node_modules/.bin/deno"), "compile", "--no-check", "--node-modules-dir=none", "--allow-all", "--unstable-net",
    "--output", file, entry,
  ], { cwd: empty, stdout: "pipe", stderr: "pipe", env: { ...process.env, NO_COLOR: "1" } });
  rmSync(empty, { recursive: true });
  if (run.exitCode === 0) return say(`${file} ${ownTarget()} ${commit} ${(statSync(file).size / 1e6).toFixed(1)} MB`);
  const text = run.stderr.toString();
  const base = /https:\/\/\S*denort\S*/.exec(text);
  if (base !== null) {
    stop(EXIT_NO_BASE, `deno compile needs its base binary, which cannot be fetched from here: ${base[0]}; use the bundle above`);
  }
  stop(EXIT_FAILED, `deno compile failed\n${text}`);
}

let dir = join(ROOT, "dist");
let what: "own" | "all" | "deno" = "own";
const args = process.argv.slice(2);
for (let i = 0; i < args.length; i++) {
  const arg = args[i]!;
  const value = args[i + 1];
  if (arg === "--all") what = "all";
  else if (arg === "--deno") what = "deno";
  else if (arg === "--outdir" && value !== undefined) {
    dir = resolve(value);
    i++;
  } else stop(EXIT_USAGE, `${arg}: unknown flag; allowed: --all, --deno, --outdir DIR`);
}

mkdirSync(dir, { recursive: true });
const commit = commitName();
const own = ownTarget();
if (what === "deno") compileWithDeno(dir, commit);
else compile(own, join(dir, "tandem"), commit, false);
if (what === "all") {
  for (const target of TARGETS) compile(target, join(dir, `tandem-${target}`), commit, target !== own);
}
