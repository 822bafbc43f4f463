// Clients outside the machine (a guest's virtqueue, an export's socket), as a scenario sees them: it asks that one of its fd
// handlers becomes ready some time from now. The simulated and the live host can do it; in replay nobody needs to ask,
// because the trace says when handlers became ready.

/** Where a scenario asks for kicks. */
export interface ExternalClients {
  /** Let the fd handler numbered `handlerId` become ready about `delayNs` from now. */
  kick(handlerId: number, delayNs: number): void;
}

/** Nobody outside: for replay. */
export const NO_CLIENTS: ExternalClients = { kick: () => undefined };
