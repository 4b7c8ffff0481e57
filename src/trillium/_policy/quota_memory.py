"""What an earlier run has learnt of a model's limits, for a new run to begin with.

It is learnt still, and not told: a limit is changed by the first headers that say otherwise, and
a pace that was found by trying goes on growing, slowly at first, as if it had just been found.
"""

from __future__ import annotations

from collections.abc import Iterable

from trillium._policy.quota_bucket import Bucket
from trillium._policy.quota_meter import Meter
from trillium._policy.quota_pace import Pace
from trillium.limits import Counted, LimitReport


def recall(meter: Meter, reports: Iterable[LimitReport], now: float) -> None:
    """Let a meter begin with limits that were learnt; one that knows some keeps to its own.

    A pace that was found by trying may grow from the start. What headers told does not: it is the
    headers of the first answer that may say otherwise.
    """
    if meter.pace is not None or any(not bucket.told for bucket in meter.own):
        return
    for report in reports:
        if report.told:
            continue
        bucket = Bucket(report.counted, report.amount, report.window_s)
        if report.found and report.counted is Counted.REQUESTS:
            meter.pace = Pace(bucket, now, now)
        else:
            meter.own.append(bucket)
    meter.refresh()
