import holePlug from "./hole-plug.ts";
import { describeHole } from "./hole-test-support.ts";

// n1 is base, n2 is top.
describeHole(
  holePlug,
  `
  ctx0 drain_begin site=hole_section
  ctx0 drain_poll_end
  ctx0   list_remove list=children owner=n2
  ctx1 -     list_read list=children owner=n2 site=bdrv_io_plug
  ctx1 -     list_read list=children owner=n2 site=bdrv_io_unplug
  ctx0 drain_end site=hole_section
  `,
);
