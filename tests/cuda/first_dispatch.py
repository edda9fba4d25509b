"""Dispatch one kernel with arrays on the simulated GPU, where no CUDA package was imported before; JSON: {what: result}."""

import json
import sys

from tests.cuda import stand_in

cupy = stand_in.install()

from tests.cuda.cases import cases, difference  # after the stand-in

if __name__ == "__main__":
    before = [m for m in sys.modules if m.startswith(("engine.kernels.cuda", "cldl.training"))]
    case = next(case for case in cases() if case.kernel.__name__ == sys.argv[1])
    apart = difference(case, cupy.asarray, cupy.asnumpy)
    json.dump({"imported before": before, "apart": max(0.0, apart - case.ulps)}, sys.stdout)
