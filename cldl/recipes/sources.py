"""Where values come from, in the words that several recipes share."""

POSTER = "CLDL poster (ECCV 2016)"
INFERRED = "inferred: CLDL's paper does not say"
TUNED = "chosen here by trials on a CPU, which were not recorded"
AS_MNIST = "as mnist_nin, where it was chosen by trial"
UNTRIED = "inferred, untried"
HE = "He et al., ICCV 2015, eq. 10"
ADAMW = "Loshchilov and Hutter, ICLR 2019"
