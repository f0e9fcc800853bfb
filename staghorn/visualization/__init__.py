"""Pictures of training and of models; matplotlib loads when one is drawn."""

from staghorn.visualization.curves import plot_actual_vs_predicted as plot_actual_vs_predicted
from staghorn.visualization.curves import plot_history as plot_history
