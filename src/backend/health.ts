// Is this server to be trusted with traffic? A pure state machine: failures and answers in, state and delays out.
//
//            a failure       refused | handshake failed | 3 failures in a row | 3 hangs in a minute | silent
//   UP ───────────────────▶ SUSPECT ──────────────────────────────▶ DOWN
//   ▲  ◀── reconnected ─────┘                                         │ answers for a while, lanes open
//   └────────── synchronised ◀── REJOIN ◀─────────────────────────────┘

export type HealthState = "up" | "suspect" | "down" | "rejoin";

const STRIKES_MAX = 3;
const PROBE_FIRST_MS = 250;
const PROBE_MAX_MS = 3000;
/** A down within this time of the last one counts as flapping and doubles the time it must answer before it is trusted. */
const FLAP_WINDOW_MS = 60_000;
const RISE_FIRST_MS = 1000;
const RISE_MAX_MS = 60_000;
/** How far apart the answers are by which it proves itself, ms. */
const PROOF_MS = 500;

export class Health {
  state: HealthState = "down";
  /** Why it is in this state: a failure reason, or what brought it back. */
  reason = "starting";
  private strikes = 0;
  private probeMs = PROBE_FIRST_MS;
  private flaps = 0;
  private lastDownMs = -Infinity;
  private hangs = 0;
  private lastHangMs = -Infinity;

  /** A working connection failed; answeredSince: it had answered since the failure before. Returns true when that is one too many. */
  strike(answeredSince: boolean): boolean {
    this.strikes = answeredSince ? 1 : this.strikes + 1;
    return this.strikes >= STRIKES_MAX;
  }

  /**
   * Clients waited for it until their deadline. Returns true when they did so often that its peers had better carry its
   * keys: answers in between forgive a lost connection, which costs nobody anything, but not this. A quiet minute does.
   */
  hung(nowMs: number): boolean {
    this.hangs = nowMs - this.lastHangMs < FLAP_WINDOW_MS ? this.hangs + 1 : 1;
    this.lastHangMs = nowMs;
    return this.hangs >= STRIKES_MAX;
  }

  /** It went out of service. */
  down(nowMs: number): void {
    this.flaps = nowMs - this.lastDownMs < FLAP_WINDOW_MS ? this.flaps + 1 : 0;
    this.lastDownMs = nowMs;
    this.strikes = 0;
    this.probeMs = PROBE_FIRST_MS;
  }

  /** It serves again. */
  recovered(): void {
    this.strikes = 0;
    this.probeMs = PROBE_FIRST_MS;
  }

  /** Milliseconds until the next probe: grows by half each time, with ±30 % jitter from a random u32. */
  nextProbeMs(random: number): number {
    const base = this.probeMs;
    this.probeMs = Math.min(PROBE_MAX_MS, base * 1.5);
    return jittered(base, random);
  }

  /** Milliseconds until it is asked again while it proves itself: by chance, or one that hangs in time with us would pass. */
  nextProofMs(random: number): number {
    return jittered(PROOF_MS, random);
  }

  /** How long it must keep answering before it gets traffic again, ms. */
  get riseMs(): number {
    return Math.min(RISE_MAX_MS, RISE_FIRST_MS * 2 ** Math.min(this.flaps, 6));
  }
}

/** ±30 %, by a random u32. */
function jittered(ms: number, random: number): number {
  return ms * (0.7 + (0.6 * (random >>> 8)) / 0x1000000);
}
