// Compares this proxy with its peers: every few seconds each is asked for its fingerprint, and the log says when one
// begins to differ, and when it agrees again.
import type { Counters } from "../observe/counters.ts";
import type { Log } from "../observe/log.ts";
import type { PeerReport } from "../observe/report.ts";
import type { Address, Platform, Timer } from "../platform/platform.ts";
import { placementDifferences } from "../config/fingerprint.ts";
import { askStats } from "./ask.ts";

const EVERY_MS = 10_000, FIRST_MS = 1000, ANSWER_MS = 3000;

interface Peer {
  readonly address: Address;
  readonly label: string;
  state: PeerReport["state"];
  fingerprint: string;
}

export class Peers {
  private readonly peers: Peer[];
  private timer: Timer | null = null;
  private stopped = false;

  constructor(
    private readonly platform: Platform,
    peers: readonly { readonly address: Address; readonly label: string }[],
    private readonly ours: { readonly placement: string; readonly fingerprint: string },
    private readonly counters: Counters,
    private readonly log: Log,
  ) {
    this.peers = peers.map(({ address, label }) => ({ address, label, state: "unknown", fingerprint: "" }));
  }

  start(): void {
    if (this.peers.length > 0) this.timer = this.platform.clock.timer(FIRST_MS, () => this.look());
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
  }

  report(): PeerReport[] {
    return this.peers.map(({ label, state, fingerprint }) => ({ address: label, state, fingerprint }));
  }

  private look(): void {
    this.timer = this.platform.clock.timer(EVERY_MS, () => this.look());
    for (const peer of this.peers) {
      askStats(this.platform, peer.address, ["stats proxy", "stats settings"], ANSWER_MS, (asked) => {
        if (this.stopped) return;
        const theirs = asked.ok ? asked.answers[0]?.get("fingerprint") : undefined;
        if (theirs === undefined) return this.silent(peer, asked.ok ? "is no tandem that tells its fingerprint" : asked.reason);
        this.heard(peer, theirs, (asked.ok ? asked.answers[1]?.get("placement") : undefined) ?? "");
      });
    }
  }

  private silent(peer: Peer, reason: string): void {
    // What it said last still stands.
    if (peer.state === "drifts" || peer.state === "silent") return;
    peer.state = "silent";
    this.log.info("peer cannot be compared", { peer: peer.label, reason });
  }

  private heard(peer: Peer, fingerprint: string, placement: string): void {
    const state = fingerprint === this.ours.fingerprint ? "agrees" : "drifts";
    const changed = state !== peer.state || fingerprint !== peer.fingerprint;
    peer.state = state;
    peer.fingerprint = fingerprint;
    if (!changed) return;
    if (state === "agrees") return this.log.info("peer places and replicates alike", { peer: peer.label, fingerprint });
    this.counters.peer_drifts++;
    const differences = placementDifferences(this.ours.placement, placement);
    this.log.warn("peer places or replicates differently", { peer: peer.label, fingerprint, ours: this.ours.fingerprint, differences: differences.join("; ") });
  }
}
