UPDATE entry SET parked = 1 WHERE sequence = ? AND parked = 0
