"""Tables under INTERDYN_DATA: incomes, telescope showers, houses, bicycles, two of credits; columns are their parts."""

from interdyn.errors import DataError
from interdyn.recipes import Dataset, dataset
from interdyn_zoo.data._root import find_data, reads_files
from interdyn_zoo.data.table_files import coded_table


@dataset("adult")
@reads_files
def adult(*, seed: int) -> Dataset:  # noqa: ARG001  the same rows for every seed
    """Return census incomes: 31,561 rows, 14 columns, more than 50,000 dollars or not.

    File ``tabular/adult.csv.gz``. Source: Becker and Kohavi (1996), UCI.
    """
    return _table("adult", "income", "https://archive.ics.uci.edu/dataset/2/adult", n_classes=2)


@dataset("magic")
@reads_files
def magic(*, seed: int) -> Dataset:  # noqa: ARG001
    """Return telescope showers: 18,020 rows, 10 columns, gamma or hadron.

    File ``tabular/magic_gamma_telescope.csv.gz``. Source: Bock et al. (2004), UCI.
    """
    return _table("magic_gamma_telescope", "class", "https://archive.ics.uci.edu/dataset/159", n_classes=2)


@dataset("california")
@reads_files
def california(*, seed: int) -> Dataset:  # noqa: ARG001
    """Return house values: 19,640 rows, 8 columns, a regression.

    File ``tabular/california_housing.csv.gz``. Source: Pace and Barry (1997).
    """
    return _table("california_housing", "MedHouseVal", "https://www.dcc.fc.up.pt/~ltorgo/Regression", n_classes=None)


@dataset("bike")
@reads_files
def bike(*, seed: int) -> Dataset:  # noqa: ARG001
    """Return hourly bicycle rentals: 16,379 rows, 12 columns, a regression.

    File ``tabular/bike_sharing_hourly.csv.gz``. Source: Fanaee-T and Gama (2013), UCI.
    """
    return _table("bike_sharing_hourly", "count", "https://archive.ics.uci.edu/dataset/275", n_classes=None)


@dataset("german")
@reads_files
def german(*, seed: int) -> Dataset:  # noqa: ARG001
    """Return credits: 900 rows, 20 columns, good or bad.

    File ``tabular/german_credit.csv.gz``. Source: Hofmann (1994), UCI.
    """
    return _table("german_credit", "credit_class", "https://archive.ics.uci.edu/dataset/144", n_classes=2)


@dataset("heloc")
@reads_files
def heloc(*, seed: int) -> Dataset:  # noqa: ARG001
    """Return home-equity credits: 9,959 rows, 23 columns, bad or good; -7, -8 and -9 are special values.

    File ``tabular/heloc.csv.gz``. Source: FICO Explainable Machine Learning Challenge (2018); no redistribution.
    """
    return _table(
        "heloc", "RiskPerformance", "https://community.fico.com/s/explainable-machine-learning-challenge", n_classes=2
    )


def _table(name: str, target: str, source: str, *, n_classes: int | None) -> Dataset:
    (path,) = find_data(name, f"tabular/{name}.csv.gz", source=source, published="table")
    data = coded_table(path, target=target, regression=n_classes is None)
    if data.n_classes != n_classes:
        raise DataError(
            f"the table {path} must have {n_classes} classes in `{target}`; got {data.n_classes}. Download it "
            f"again from {source}."
        )
    return data
