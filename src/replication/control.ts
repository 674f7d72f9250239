// Names of the items that tandem keeps on the memcacheds for itself: none of them is a client's.

/** Begins the key of every item of tandem's own. */
export const CONTROL_PREFIX = "__tandem:";
