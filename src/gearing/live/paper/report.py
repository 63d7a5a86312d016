"""What a paper run found: the ledger, and the shadow report, the paper account minus the simulated one."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gearing.evaluation.result import ledger_table
from gearing.live.paper.accounts import NAMES, PAPER, SIMULATED
from gearing.live.paper.deciding import targets_of
from gearing.live.paper.run import PaperRun
from gearing.storage.atomic import write_text

LEDGER, SHADOW, ACCOUNT = "ledger.csv", "shadow.csv", "account.json"


def ledger(run: PaperRun, which: int = PAPER) -> pd.DataFrame:
    """Each whole interval of each position, as a backtest's ledger: price_pnl + fees + funding + liquidation = its
    change of equity.

    Parameters
    ----------
    which : int
        `PAPER` or `SIMULATED`.
    """
    done = run.intervals
    lines = run.decisions[: len(done)]
    return ledger_table(
        np.array([line["time"] for line in lines], "int64").astype("datetime64[ms]"),
        run.symbols,
        targets_of([line[NAMES[which]] for line in lines], run.symbols).reshape(-1, len(run.symbols)),
        np.array([one["ledgers"][which] for one in done]),
        np.array([one["leverage"][which] for one in done]).reshape(-1, len(run.symbols)),
        np.array([one["equity"][which] for one in done]),
    )


def shadow(run: PaperRun) -> pd.DataFrame:
    """What the paper account did and what the simulated one did, decision by decision.

    Returns
    -------
    DataFrame
        A row for each whole interval and contract: targets, effective leverage and equity at its end of both; the
        ``difference`` of leverage, and of the interval's log growth (``growth_difference``, of the whole account); why
        nothing was decided, if so (``refused``).
    """
    tables = [ledger(run, which) for which in (PAPER, SIMULATED)]
    refused = {line["time"]: line["paper"]["refused"] or "" for line in run.decisions}
    growth = {
        line["time"]: float(one["steps"]["log_growth"][PAPER] - one["steps"]["log_growth"][SIMULATED])
        for line, one in zip(run.decisions, run.intervals, strict=False)
    }
    paper, simulated = tables
    moments = paper["time"].to_numpy().astype("datetime64[ms]").astype(np.int64).tolist()
    return pd.DataFrame(
        {
            "time": paper["time"],
            "contract": paper["contract"],
            "paper_target": paper["target"],
            "simulated_target": simulated["target"],
            "paper_leverage": paper["effective_leverage"],
            "simulated_leverage": simulated["effective_leverage"],
            "difference": paper["effective_leverage"] - simulated["effective_leverage"],
            "paper_equity": paper["equity"],
            "simulated_equity": simulated["equity"],
            "growth_difference": [growth[moment] for moment in moments],
            "refused": [refused[moment] for moment in moments],
        }
    )


def summary(run: PaperRun) -> dict[str, Any]:
    """Numbers of the run so far."""
    accounts, start = run.accounts, float(run.journal.records[0]["equity"])
    refused = [line for line in run.decisions if line["paper"]["refused"]]
    return {
        "decisions": len(run.decisions),
        "intervals": len(run.intervals),
        "first": _moment(run.decisions[0]) if run.decisions else None,
        "last": _moment(run.decisions[-1]) if run.decisions else None,
        "equity_at_start": start,
        "equity": float(accounts.accounts.equity[PAPER]),
        "simulated_equity": float(accounts.accounts.equity[SIMULATED]),
        "log_growth": _growth(float(accounts.accounts.equity[PAPER]), start),
        "simulated_log_growth": _growth(float(accounts.accounts.equity[SIMULATED]), start),
        "leverage": dict(zip(run.symbols, accounts.leverage()[PAPER].tolist(), strict=True)),
        "liquidations": int(sum(one["ledgers"]["liquidations"][PAPER].sum() for one in run.intervals)),
        "refused": len(refused),
        "missed": sum(line["paper"]["refused"].startswith("missed") for line in refused),
        "ruined": bool(accounts.over[PAPER]),
    }


def summary_line(found: dict[str, Any]) -> str:
    """The summary as a line."""
    text = (
        f"{found['decisions']} decisions, {found['refused']} of them refused ({found['missed']} missed), "
        f"{found['liquidations']} liquidations; equity {found['equity']:,.2f}, simulated "
        f"{found['simulated_equity']:,.2f}"
    )
    return f"{text}; the paper account is ruined" if found["ruined"] else text


def _moment(line: dict[str, Any]) -> str:
    return f"{np.datetime64(line['time'], 'ms').astype('datetime64[m]')}Z"


def _growth(equity: float, start: float) -> float | None:
    return math.log(equity / start) if equity > 0.0 else None


def write_reports(run: PaperRun, folder: Path) -> None:
    """Write the ledger, the shadow report and the account of the last decision into a folder, each atomically."""
    write_text(folder / ACCOUNT, json.dumps(run.accounts.as_account(PAPER), indent=1) + "\n")
    if run.intervals:
        write_text(folder / LEDGER, ledger(run).to_csv(index=False))
        write_text(folder / SHADOW, shadow(run).to_csv(index=False))
