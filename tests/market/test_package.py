import subprocess
import sys

import gearing.market


def test_every_exported_name_resolves_to_something_that_can_be_called():
    for name in gearing.market.__all__:
        value = getattr(gearing.market, name)
        assert callable(value) or name == "SETTLEMENT_DTYPE", name


def test_importing_the_package_and_its_data_type_loads_neither_pandas_nor_numba():
    code = "import gearing.market, gearing.market.data, sys; print({'pandas', 'numba', 'httpx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
