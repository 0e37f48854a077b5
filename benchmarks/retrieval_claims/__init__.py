"""Claims with known answers: facts found in installed packages, said as an auditor would say them."""
