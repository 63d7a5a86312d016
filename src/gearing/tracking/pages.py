"""How MLflow's pages open an experiment: as training of models, with a saved view of results."""

import base64
import json
import zlib

VIEW = "gearing"  # key of the saved view
_COLUMNS = (
    "log_growth",
    "score",
    "regret",
    "sharpe",
    "max_drawdown",
    "effective_leverage",
    "liquidations",
    "qlike",
)
_NOTE = (
    "Studies of gearing. A run is a study; the runs nested in it are its trials: a policy on a fold with a seed. "
    "Choose the view **Results** for the columns that all have, expand a study, or group by the tag `policy`. "
    "`log_growth` and `regret` are log returns a year; `score` is the share of the best possible growth."
)


def experiment_tags() -> dict[str, str]:
    """Tags of a new experiment: its kind, its description and the saved view.

    Pages of MLflow 3.17 take the kind from their address, see `page`; other versions from the tag.
    """
    return {
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.note.content": _NOTE,
        f"mlflow.sharedViewState.{VIEW}": _saved_view(),
    }


def page(server: str, experiment: str) -> str:
    """Address of an experiment's page with the saved view."""
    query = f"workflowType=machine_learning&viewStateShareKey={VIEW}"
    return f"{server.rstrip('/')}/#/experiments/{experiment}/runs?{query}"


def _saved_view() -> str:
    """The saved view as MLflow 3.17 stores it: a name, and the packed state of the table."""
    state = {
        "searchFilter": "", "orderByKey": "attributes.start_time", "orderByAsc": False, "startTime": "ALL",
        "lifecycleFilter": "Active", "datasetsFilter": [], "modelVersionFilter": "All Runs",
        "selectedColumns": [f"metrics.`{name}`" for name in _COLUMNS], "columnOrder": [], "columnWidths": {},
        "runsHiddenMode": "FIRST_10_RUNS", "viewMaximized": False, "runListHidden": False,
        "isAccordionReordered": False, "useGroupedValuesInCharts": True, "hideEmptyCharts": True, "groupBy": None,
        "groupsExpanded": {},
        "globalLineChartConfig": {"xAxisKey": "step", "lineSmoothness": 0, "selectedXAxisMetricKey": ""},
    }  # fmt: skip
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    return json.dumps({"name": "Results", "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"})
