"""The sensors are asked while the calls run: from a thread of its own, so that a long call has readings too."""

import threading
from collections.abc import Callable, Sequence

from codi_export.profile.result import Reading
from codi_export.profile.sensors import Sensor, merged

INTERVAL_S = 0.1


class Watch:
    """Readings since `zero`: every `INTERVAL_S` between `start` and `stop`, or one at each `look`."""

    def __init__(self, sensors: Sequence[Sensor], now: Callable[[], float], zero: float) -> None:
        self.readings: list[Reading] = []
        self.lost: dict[str, float] = {}  # sensor -> seconds at which it stopped answering
        self._sensors, self._now, self._zero = list(sensors), now, zero
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def look(self) -> Reading:
        """Ask every sensor once. One that fails is not asked again: it may come back with another zero."""
        time_s, said = self._now() - self._zero, []
        for sensor in list(self._sensors):
            try:
                said.append(sensor.read())
            except OSError:
                self._sensors.remove(sensor)
                self.lost[sensor.name] = time_s
        reading = merged(said, time_s)
        self.readings.append(reading)
        return reading

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """The last look is now."""
        self._stopped.set()
        self._thread.join()
        self.look()

    def _follow(self) -> None:
        while not self._stopped.wait(INTERVAL_S):
            self.look()
