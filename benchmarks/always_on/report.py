"""The bars of ``always-on.json``."""

from __future__ import annotations

from typing import Final

from bars import Bar

BARS: Final = (
    Bar("api_away_60s_lost", "≤", 0, "updates; API server stopped, killed, its store stopped"),
    Bar("api_away_600s_lost", "≤", 0, "updates; API server stopped"),
    Bar("api_away_duplicated", "≤", 0, "updates, over all runs"),
    Bar("api_away_logins", "≤", 0, "logins, over all runs: sessions stay"),
    Bar("api_flaps_lost", "≤", 0, "updates; API server stopped for 5 s of each 10 s"),
    Bar("api_slow_lost", "≤", 0, "updates; API server that takes 10 s for an answer"),
    Bar("cut_off_alone_lost", "≤", 0, "updates; one worker cut off from the API server, members reach it"),
    Bar("operator_cut_off_lost", "≤", 0, "updates; the operator cut off from the API server"),
    Bar("death_while_away_others_lost", "≤", 0, "updates; a worker dies meanwhile: of the other workers' contracts"),
    Bar("operator_death_while_away_lost", "≤", 0, "updates; the operator dies meanwhile"),
    Bar("move_while_away_lost", "≤", 0, "updates; a planned move had just begun"),
    Bar("crash_hot_lost", "≤", 0, "updates; kill -9 of a worker whose contracts are held ready, common mode"),
    Bar("crash_hot_duplicated", "≤", 0, "the same"),
    Bar("crash_hot_pause_s.p99", "≤", 1.0, "s from kill -9 to the slowest contract's next tick, phased mode"),
    Bar("standby_cpu_ratio", "≤", 1.6, "of a worker's processor time, with a standby for each of its contracts"),
    Bar("standby_mb", "≤", 15, "MB of a worker's memory, the same"),
    Bar("untrue_contract_seconds", "≤", 0, "of the status, later than 35 s after a fault began or ended"),
    Bar("double_sessions", "≤", 0, "of 300 stories of a network that breaks at random, in virtual time"),
    Bar("stuck_leases", "≤", 0, "of the same: a Lease that nobody holds in the end"),
    Bar("model_violations", "≤", 0, "of the explored states of the model"),
    Bar("zombie_writes", "≤", 0, "records of an epoch that was over"),
)
