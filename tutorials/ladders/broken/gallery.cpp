// The list of exhibits.
#include "tutorials/ladders/broken/gallery.h"

namespace broken {

void missing_barrier(bool mend);
void missing_second_barrier(bool mend);
void missing_syncwarp(bool mend);
void early_return(bool mend);
void divergent_barrier(bool mend);
void shuffle_outside_mask(bool mend);
void off_by_one_global(bool mend);
void off_by_one_shared(bool mend);
void uninitialised_shared(bool mend);
void two_blocks_one_cell(bool mend);
void counter_without_atomic(bool mend);
void copy_without_wait(bool mend);
void misaligned_vector(bool mend);
void host_pointer(bool mend);
void neighbour_of_another_block(bool mend);

std::vector<Exhibit> exhibits() {
  return {
      {"missing_barrier", "data race in shared memory", missing_barrier},
      {"missing_second_barrier", "data race in shared memory", missing_second_barrier},
      {"missing_syncwarp", "data race in shared memory", missing_syncwarp},
      {"early_return", "names in its mask a lane that has returned", early_return},
      {"divergent_barrier", "divergent barriers", divergent_barrier},
      {"shuffle_outside_mask", "reads a lane that is not in its mask", shuffle_outside_mask},
      {"off_by_one_global", "out-of-bounds read", off_by_one_global},
      {"off_by_one_shared", "out-of-bounds write", off_by_one_shared},
      {"uninitialised_shared", "read of uninitialised shared memory", uninitialised_shared},
      {"two_blocks_one_cell", "data race in global memory", two_blocks_one_cell},
      {"counter_without_atomic", "data race in shared memory", counter_without_atomic},
      {"copy_without_wait", "which was not waited for", copy_without_wait},
      {"misaligned_vector", "misaligned access", misaligned_vector},
      {"host_pointer", "memory that is not the device's", host_pointer},
      {"neighbour_of_another_block", "data race in global memory", neighbour_of_another_block},
  };
}

}  // namespace broken
