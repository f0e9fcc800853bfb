"""Pictures of training and of models; matplotlib and rich load on use."""

from staghorn.visualization.curves import plot_actual_vs_predicted as plot_actual_vs_predicted
from staghorn.visualization.curves import plot_history as plot_history
from staghorn.visualization.summary import print_summary as print_summary
from staghorn.visualization.training_pictures import plot_learning_rates as plot_learning_rates
from staghorn.visualization.training_pictures import plot_statistics as plot_statistics
