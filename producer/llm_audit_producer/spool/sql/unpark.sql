UPDATE entry SET parked = 0 WHERE parked = 1
