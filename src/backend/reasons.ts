// Why a backend connection ended, or a request got no answer: the closed list. The same word stands in the log, in
// `stats servers`, in client errors and in the tests.

export const FAILURE_REASONS = [
  "refused", // nothing listens at the address
  "unreachable", // no route to it
  "not_found", // the host name or socket path does not exist
  "connect_timeout", // the connect deadline passed
  "reset", // the server (or something between) reset the connection
  "closed", // the server closed the connection
  "request_timeout", // the oldest request got no answer in time
  "silent", // it accepts connections and does not answer
  "unexpected_reply", // a line that cannot answer the request it would belong to
  "unasked_reply", // bytes came though nothing was asked
  "malformed_reply", // a value whose length or end does not fit
  "foreign_key", // a value of a key that was not asked for
  "refused_command", // the server called our store a bad command: its data block would be read as commands
  "handshake", // identity could not be read
  "restarted", // another incarnation answers at the address
  "unflushed", // it missed a flush_all, which it is to do before anything else
  "down", // the server is out of service
  "abandoned", // the client left in the middle of a value that was being stored
  "stopping", // tandem is shutting down
  "failed", // anything else the runtime reported
] as const;
export type FailureReason = (typeof FAILURE_REASONS)[number];
