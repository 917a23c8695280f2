"""A clock for tests of costs: what measuring and training take is what a test says."""

from interdyn.measurement import recorded


class Clock:
    """A clock that training and measuring move on, so that costs are what the test says."""

    def __init__(self, monkeypatch, *, per_step=0.0, per_cell=0.0):
        self.now, self.sizes = 0.0, []

        def slowly(model, group, *, step):
            measured = recorded(model, group, step=step)
            self.now += per_step + per_cell * measured.v.size
            self.sizes.append(measured.v.shape)
            return measured

        for module in ("_record", "_pricing"):
            monkeypatch.setattr(f"interdyn.tracking.{module}.recorded", slowly)
        for module in ("_tracker", "_following", "_budget", "_pricing"):
            monkeypatch.setattr(f"interdyn.tracking.{module}.perf_counter", lambda: self.now)
