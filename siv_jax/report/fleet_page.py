from siv_jax.report.run_page import write_fleet_index as write  # noqa: F401
