void fill_rows(KernelTable&) {}
