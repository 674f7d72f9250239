// A compiled tandem that is to serve becomes the same program once more (execve: the process stays) with an environment
// for its allocator and its collector, which read it before any code of ours runs. It is imported first: what comes
// after it is loaded once.
//
// Without it mimalloc returns what was freed to the kernel within 0.1 s, only to have it faulted in again: that took a
// tenth of the CPU time of gets of 1 KiB. And the collector runs, on two threads, each time 32 MiB of arrays were made,
// most of which we have freed by then: a third of our own time for values of 500 KiB, a seventh with 20 KiB.
import process from "node:process";

/** Whole free ranges go back to the kernel after a few seconds; pages of which a part is used stay whole. */
const KEEPING = {
  MIMALLOC_PURGE_DELAY: "1000", MIMALLOC_PURGE_HOLES: "0", BUN_JSC_numberOfGCMarkers: "1", BUN_JSC_largeHeapSize: String(48 * 1024 * 1024),
};

const compiled = Bun.main.startsWith("/$bunfs/");
// Another command ends soon, and need not wait 30 ms for a second beginning.
const command = process.argv[2];
const serves = command === undefined || command === "serve" || command.startsWith("-");
// Whoever set one of them has decided; so have we, the second time.
const decided = Object.keys(KEEPING).some((name) => process.env[name] !== undefined);
// execve closes what we were handed: sockets of a service manager, or of the proxy whose place we take.
const heir = process.env["LISTEN_FDS"] !== undefined || process.env["NODE_CHANNEL_FD"] !== undefined;

if (compiled && serves && !decided && !heir) {
  try {
    process.execve?.(process.execPath, [process.argv0, ...process.argv.slice(2)], { ...process.env, ...KEEPING });
  } catch {
    // As it is, then: slower, not wrong.
  }
}
