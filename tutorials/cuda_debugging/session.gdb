set trace-commands on
break flip if blockIdx.x == 1 && threadIdx.x == 5
run
print threadIdx
print blockDim
next
next
next
next
print tile
next
print threadIdx
print tile
next
print value
tbreak flip.cu:13 if threadIdx.x == 6
continue
print threadIdx
print value
continue
