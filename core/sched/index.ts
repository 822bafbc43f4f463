export * from "../series.ts";
export * from "./aio-context.ts";
export { aioContextAcquire, aioContextRelease } from "./aio-context-lock.ts";
export { aioPoll } from "./aio-poll.ts";
export {
  aioBhNew,
  aioBhScheduleOneshot,
  aioNotify,
  BottomHalf,
  qemuBhCancel,
  qemuBhDelete,
  qemuBhSchedule,
} from "./bottom-half.ts";
export * from "./co-lock.ts";
export { qemuCoTimeout } from "./co-timeout.ts";
export {
  type Co,
  coChain,
  coLater,
  coThen,
  type Handler,
  type Polls,
  type StraightHandler,
  settled,
} from "./colours.ts";
export {
  aioCoEnter,
  aioCoSchedule,
  aioCoWake,
  Coroutine,
  qemuCoroutineCreate,
  qemuCoroutineEnter,
  qemuCoroutineSelf,
  qemuCoroutineYield,
  qemuInCoroutine,
  runAsTask,
  taskBegin,
  taskEnd,
} from "./coroutine.ts";
export * from "./current.ts";
export { globalStateCode, ioCode, ioOrGsCode } from "./domain.ts";
export {
  aioSetEventNotifier,
  EventNotifier,
  eventNotifierSet,
  eventNotifierTestAndClear,
} from "./event-notifier.ts";
export {
  aioDisableExternal,
  aioEnableExternal,
  aioRemoveFdHandler,
  aioSetFdHandler,
  FdHandler,
} from "./fd-handler.ts";
export * from "./host.ts";
export {
  clockNs,
  hostAllocate,
  hostCall,
  hostCopy,
  hostDecide,
  hostNow,
  hostReveal,
  hostSubmit,
  hostTransform,
  IoOperation,
  outstandingOperations,
} from "./host-io.ts";
export {
  type SocketRange,
  socketAccept,
  socketClient,
  socketClose,
  socketConnect,
  socketListener,
  socketRecv,
  socketSend,
} from "./host-socket.ts";
export {
  type HostRefusal,
  hostClose,
  hostSecret,
  hostTlsCreds,
  type SecretSpec,
  socketHandshake,
  socketHandshakeClient,
  type TlsCredsSpec,
} from "./host-tls.ts";
export { iothreadCreate, iothreadStopJoin } from "./iothread.ts";
export * from "./machine.ts";
export { ModelAssertion, modelAssert } from "./model-assert.ts";
export { coRunOutside, runInCoroutine } from "./outside.ts";
export { QemuEvent, qemuEventReset, qemuEventSet, qemuEventWait } from "./qemu-event.ts";
export { QemuMutex, qemuMutexLock, qemuMutexUnlock } from "./qemu-mutex.ts";
export { qemuCoSleepNs, Timer, timerDel, timerMod, timerNew, timerPending } from "./timer.ts";
export {
  aioWaitBhOneshot,
  aioWaitKick,
  aioWaitWhile,
  aioWaitWhileUnlocked,
  hasWaiters,
  inAioContextHomeThread,
} from "./wait.ts";
