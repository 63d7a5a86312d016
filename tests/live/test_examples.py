import subprocess
import sys
from pathlib import Path

from tests.export import cases as export_cases

ROOT = Path(__file__).resolve().parents[2]


def test_the_example_prints_the_calls_of_a_decision(tmp_path):
    part = export_cases.market().rows(0, 24 * 20)
    export_cases.small_bundle(tmp_path / "bundle", part=part)
    export_cases.bar_table(part).to_csv(tmp_path / "bars.csv", index=False)
    (tmp_path / "account.json").write_text('{"wallet_balance": 10000, "positions": {}}')
    given = [
        "--bars",
        tmp_path / "bars.csv",
        "--account",
        tmp_path / "account.json",
        "--log",
        tmp_path / "log",
    ]
    command = [sys.executable, ROOT / "examples" / "print_calls.py", tmp_path / "bundle", *given]
    found = subprocess.run(
        [*map(str, command), "--now", str(part.close_time[-1])], capture_output=True, text=True, check=True
    )
    assert "POST /fapi/v1/order" in found.stdout
    assert (tmp_path / "log" / "decisions.jsonl").is_file()
